// Command echo is a stateless function: a plain HTTP server that knows nothing of oaas, as any function made for Knative is.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	address := os.Getenv("OAAS_HOST") + ":" + os.Getenv("PORT")
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// echo answers with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	if _, err := io.Copy(w, r.Body); err != nil {
		log.Printf("echo: %v", err)
	}
}
