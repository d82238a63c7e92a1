package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// Cart is the state of a cart. Each item is an entry of its own, "item:apple", so that a large cart stays cheap to change.
type Cart struct {
	Items  map[string]int `oaas:"item:*" json:"items"`
	Orders int            `oaas:"orders" json:"orders"`
}

// Line is an amount of an item.
type Line struct {
	Item   string `json:"item"`
	Amount int    `json:"amount"`
}

// itemName says what can be the id of a stock.
var itemName = regexp.MustCompile(`^[a-z0-9-]{1,100}$`)

// Order is the data of the event that a checkout sends.
type Order struct {
	ID    string         `json:"id"`
	Items map[string]int `json:"items"`
}

// Add puts an amount of an item into the cart.
func (c *Cart) Add(_ oaas.Context, in Line) (*Cart, error) {
	if !itemName.MatchString(in.Item) || in.Amount <= 0 {
		return nil, oaas.Errorf(http.StatusBadRequest, "item %q, amount %d: a name of a-z, 0-9 and -, and a positive amount are needed", in.Item, in.Amount)
	}
	if c.Items == nil {
		c.Items = map[string]int{}
	}
	c.Items[in.Item] += in.Amount
	return c, nil
}

// Checkout reserves every item on its stock, empties the cart, and sends the order.
//
// If an item is sold out, what was reserved is released. If a stock gives no answer, nothing is released: the platform repeats this call,
// and the reservations that were made are not made twice, because each has an idempotency key. The items are sorted because a repeated
// call must make the same calls.
func (c *Cart) Checkout(ctx oaas.Context, _ oaas.None) (*Order, error) {
	if len(c.Items) == 0 {
		return nil, oaas.Errorf(http.StatusConflict, "the cart is empty")
	}
	var reserved []Line
	for _, item := range slices.Sorted(maps.Keys(c.Items)) {
		line := Line{Item: item, Amount: c.Items[item]}
		err := ctx.Call(oaas.Object("shop.stock", item), "reserve", line, nil)
		if err != nil && oaas.StatusOf(err) < 500 {
			return nil, errors.Join(err, release(ctx, reserved))
		}
		if err != nil {
			return nil, err
		}
		reserved = append(reserved, line)
	}
	c.Orders++
	order := &Order{ID: fmt.Sprintf("%s-%d", ctx.Self().Object, c.Orders), Items: c.Items}
	ctx.Emit(oaas.Event{Type: "shop.order.placed", Subject: order.ID, Data: order})
	c.Items = nil
	return order, nil
}

func release(ctx oaas.Context, lines []Line) error {
	var failed error
	for _, line := range lines {
		failed = errors.Join(failed, ctx.Call(oaas.Object("shop.stock", line.Item), "release", line, nil))
	}
	return failed
}

// Show gives the cart.
func (c *Cart) Show(oaas.Context, oaas.None) (*Cart, error) { return c, nil }
