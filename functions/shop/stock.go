package main

import (
	"net/http"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// Stock is the state of the stock of one item, whose name is the id of the object.
type Stock struct {
	Left     int `oaas:"left" json:"left"`
	Reserved int `oaas:"reserved" json:"reserved"`
}

// Fill adds to what is left.
func (s *Stock) Fill(_ oaas.Context, in Line) (*Stock, error) {
	if in.Amount <= 0 {
		return nil, oaas.Errorf(http.StatusBadRequest, "amount %d: a positive amount is needed", in.Amount)
	}
	s.Left += in.Amount
	return s, nil
}

// Reserve takes from what is left. Two carts never get the same last item: one method at a time runs on an object.
func (s *Stock) Reserve(ctx oaas.Context, in Line) (*Stock, error) {
	if in.Amount <= 0 {
		return nil, oaas.Errorf(http.StatusBadRequest, "amount %d: a positive amount is needed", in.Amount)
	}
	if s.Left < in.Amount {
		return nil, oaas.Errorf(http.StatusConflict, "there are %d of %s left, not %d", s.Left, ctx.Self().Object, in.Amount)
	}
	s.Left -= in.Amount
	s.Reserved += in.Amount
	return s, nil
}

// Release gives back what was reserved.
func (s *Stock) Release(ctx oaas.Context, in Line) (*Stock, error) {
	if in.Amount <= 0 || s.Reserved < in.Amount {
		return nil, oaas.Errorf(http.StatusConflict, "there are %d of %s reserved, not %d", s.Reserved, ctx.Self().Object, in.Amount)
	}
	s.Reserved -= in.Amount
	s.Left += in.Amount
	return s, nil
}
