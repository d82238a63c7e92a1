package oaas

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Error is a failure with an HTTP status. A method that returns one, or an error that wraps one, fails with its status and
// {"error":{"code","message"}}; a call of another object that failed gives one.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Errorf makes an error whose code is the name of the status, such as NOT_FOUND.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Code: codeOf(status), Message: fmt.Sprintf(format, args...)}
}

// Error gives the message alone.
func (e *Error) Error() string { return e.Message }

// StatusOf gives the HTTP status that err fails a call with: 500 for any error that has none, 200 for nil.
func StatusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	return errorOf(err).Status
}

// errorOf gives the Error in the chain of err, with the text of the whole chain.
func errorOf(err error) *Error {
	var found *Error
	if !errors.As(err, &found) {
		return Errorf(http.StatusInternalServerError, "%v", err)
	}
	e := *found
	e.Message = err.Error()
	if e.Status < 400 || e.Status > 599 {
		e.Status = http.StatusInternalServerError
	}
	if e.Code == "" {
		e.Code = codeOf(e.Status)
	}
	return &e
}

func codeOf(status int) string {
	text := strings.ToUpper(http.StatusText(status))
	if text == "" {
		return fmt.Sprintf("STATUS_%d", status)
	}
	return strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(text)
}

// errorBody is the form of errors on the wire.
type errorBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// body gives the answer that tells of the error.
func (e *Error) body() []byte {
	var b errorBody
	b.Error.Code, b.Error.Message = e.Code, e.Message
	text, err := encodeJSON(b)
	if err != nil {
		return nil // two strings always encode
	}
	return text
}

// readError makes an error of an answer of the platform that is not a success.
func readError(status int, body []byte) *Error {
	var b errorBody
	if json.Unmarshal(body, &b) == nil && b.Error.Message != "" {
		return &Error{Status: status, Code: b.Error.Code, Message: b.Error.Message}
	}
	text := strings.TrimSpace(string(body))
	if text == "" {
		text = http.StatusText(status)
	}
	return Errorf(status, "%s", text)
}
