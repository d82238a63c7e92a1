package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
)

// listLetters gives events that were given up. Their numbers are those of one partition; the parameter after asks for higher ones.
func listLetters(x *exchange) error {
	partition, err := x.partition()
	if err != nil {
		return err
	}
	query := x.r.URL.Query()
	limit, err := queryLimit(query)
	if err != nil {
		return err
	}
	after := uint64(0)
	if text := query.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fault.New(fault.InvalidArgument, "parameter after: %q is not the number of a dead letter", text)
		}
	}
	events, err := x.g.grid.DeadLetters(&x.ctx, x.param("cls"), partition, after, limit)
	if err != nil {
		return err
	}
	documents := make([]letterDocument, 0, len(events))
	for _, e := range events {
		documents = append(documents, describeLetter(e))
	}
	return x.sendJSON(http.StatusOK, map[string]any{"dead_letters": documents})
}

// replayLetters sends dead letters again, dropLetters forgets them; both answer how many.
func replayLetters(x *exchange) error { return x.moveLetters(false) }
func dropLetters(x *exchange) error   { return x.moveLetters(true) }

func (x *exchange) moveLetters(drop bool) error {
	partition, err := x.partition()
	if err != nil {
		return err
	}
	var which struct {
		Seqs []uint64 `json:"seqs"`
		All  bool     `json:"all"`
	}
	if err := x.decodeJSON(&which); err != nil {
		return err
	}
	switch {
	case which.All && len(which.Seqs) > 0:
		return fault.New(fault.InvalidArgument, "give either seqs or all, not both")
	case !which.All && len(which.Seqs) == 0:
		return fault.New(fault.InvalidArgument, `name the dead letters: {"seqs":[1,2]} or {"all":true}`)
	case partition == odgm.AnyPartition && !which.All:
		return fault.New(fault.InvalidArgument, "dead letters are numbered in each partition: name the partition instead of _")
	}
	count, err := x.g.grid.Replay(&x.ctx, x.param("cls"), partition, which.Seqs, which.All, drop)
	if err != nil {
		return err
	}
	return x.sendJSON(http.StatusOK, map[string]int{"count": count})
}

// decodeJSON reads a body that is JSON, and in which no field may be unknown.
func (x *exchange) decodeJSON(into any) error {
	if mediaType := x.mediaType(); mediaType != typeJSON {
		return fault.New(fault.UnsupportedType, "unsupported content-type: %s; allowed is %s", mediaType, typeJSON)
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the body is empty")
		}
		return fault.Wrap(fault.DecodeError, err, "at byte %d", decoder.InputOffset())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.DecodeError, "at byte %d: trailing characters", decoder.InputOffset())
	}
	return nil
}
