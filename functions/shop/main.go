// Command shop is two classes that work together: a cart, and the stock of an item. Checking out a cart reserves each of its items on the
// stock object of that item, and sends an event when the order is placed.
package main

import "github.com/hpcclab/oaas-go/runtime/oaas"

func main() { oaas.Serve(classes()...) }

func classes() []oaas.Part {
	return []oaas.Part{
		oaas.Class("shop.cart",
			oaas.Method("add", (*Cart).Add),
			oaas.Method("checkout", (*Cart).Checkout),
			oaas.ReadOnly("show", (*Cart).Show)),
		oaas.Class("shop.stock",
			oaas.Method("fill", (*Stock).Fill),
			oaas.Method("reserve", (*Stock).Reserve),
			oaas.Method("release", (*Stock).Release)),
	}
}
