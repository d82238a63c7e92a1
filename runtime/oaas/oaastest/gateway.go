package oaastest

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// gateway answers the two requests that methods make: calling a method of an object, and reading an object.
func (g *Grid) gateway() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/class/{class}/{partition}/objects/{object}/invokes/{method}", g.invoke)
	mux.HandleFunc("GET /api/class/{class}/{partition}/objects/{object}", g.read)
	return mux
}

func refOf(r *http.Request) oaas.Ref { return oaas.Object(r.PathValue("class"), r.PathValue("object")) }

func (g *Grid) invoke(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		answerError(w, err)
		return
	}
	key := r.Header.Get(function.HeaderIdempotencyKey)
	if key != "" {
		g.mutex.Lock()
		stored, repeated := g.results[key]
		g.mutex.Unlock()
		if repeated {
			answer(w, &stored)
			return
		}
	}
	reply, err := g.run(refOf(r), r.PathValue("method"), body, r.Header.Get("Content-Type"), &function.Meta{Chain: r.Header.Get(function.HeaderChain)})
	if err != nil {
		answerError(w, err)
		return
	}
	if key != "" {
		g.mutex.Lock()
		g.results[key] = *reply
		g.mutex.Unlock()
	}
	answer(w, reply)
}

func (g *Grid) read(w http.ResponseWriter, r *http.Request) {
	ref := refOf(r)
	entries := g.Entries(ref)
	if entries == nil {
		answerError(w, &oaas.Error{Status: http.StatusNotFound, Code: "NO_OBJECT", Message: "there is no object " + ref.String()})
		return
	}
	type value struct {
		Data []byte `json:"data"`
		Type int    `json:"type"`
	}
	object := struct {
		Entries map[string]value `json:"entries"`
	}{Entries: map[string]value{}}
	for key, text := range entries {
		object.Entries[key] = value{Data: []byte(text)}
	}
	answerJSON(w, http.StatusOK, object)
}

func answer(w http.ResponseWriter, reply *function.Reply) {
	contentType := reply.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	w.Header().Set("Content-Type", contentType)
	if _, err := w.Write(reply.Payload); err != nil {
		return // the method has given up
	}
}

func answerError(w http.ResponseWriter, err error) {
	status, code := statusOf(err)
	answerJSON(w, status, map[string]any{"error": map[string]string{"code": code, "message": err.Error()}})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the method has given up
	}
}
