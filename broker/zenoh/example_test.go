package zenoh_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh"
)

// open opens a peer that others in this process find under a name. A client of a router would have
//
//	zenoh.Config{Mode: zenoh.Client, Connect: zenoh.ConnectConfig{Endpoints: []string{"tcp/localhost:7447"}}}
func open(name string, connect ...string) *zenoh.Session {
	config := zenoh.Config{Mode: zenoh.Peer}
	config.Listen.Endpoints = []string{"inproc/" + name}
	config.Connect.Endpoints = connect
	config.Scouting.Multicast.Disabled = true
	session, err := zenoh.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	return session
}

func Example() {
	ctx := context.Background()
	here := open("here")
	defer here.Close(ctx)
	sub, err := here.DeclareSubscriber(ctx, zenoh.MustKeyExpr("demo/**"), zenoh.NewFifoChannel[zenoh.Sample](16), nil)
	if err != nil {
		log.Fatal(err)
	}

	there := open("there", "inproc/here")
	defer there.Close(ctx)
	err = there.Put(ctx, zenoh.MustKeyExpr("demo/greeting"), []byte("hello"), &zenoh.PutOptions{Encoding: zenoh.EncodingTextPlain})
	if err != nil {
		log.Fatal(err)
	}
	sample := <-sub.Handler()
	fmt.Println(sample.KeyExpr(), sample.Payload(), sample.Encoding())
	// Output: demo/greeting hello text/plain
}

func ExampleSession_DeclareQueryable() {
	ctx := context.Background()
	session := open("queryable")
	defer session.Close(ctx)

	_, err := session.DeclareQueryable(ctx, zenoh.MustKeyExpr("sum"), zenoh.Closure[*zenoh.Query]{Call: func(q *zenoh.Query) {
		var a, b int
		if _, err := fmt.Sscan(q.Payload().String(), &a, &b); err != nil {
			_ = q.ReplyErr(q.Context(), []byte("want two numbers"), nil)
			return
		}
		_ = q.Reply(q.Context(), q.KeyExpr(), fmt.Append(nil, a+b), nil)
	}}, &zenoh.QueryableOptions{Complete: true, Concurrency: 8})
	if err != nil {
		log.Fatal(err)
	}
	for _, question := range []string{"2 3", "two"} {
		replies, err := session.Get(ctx, zenoh.MustKeyExpr("sum"), "", nil, &zenoh.GetOptions{Payload: []byte(question)})
		if err != nil {
			log.Fatal(err)
		}
		for reply := range replies {
			fmt.Println(reply.Sample().Payload(), reply.Err())
		}
	}
	// Output:
	// 5 <nil>
	//  get: error reply: want two numbers
}

func ExampleSession_Get_timeout() {
	ctx := context.Background()
	session := open("timeout")
	defer session.Close(ctx)
	forgetful, err := session.DeclareQueryable(ctx, zenoh.MustKeyExpr("silence"), zenoh.NewFifoChannel[*zenoh.Query](1), nil)
	if err != nil {
		log.Fatal(err)
	}
	replies, err := session.Get(ctx, zenoh.MustKeyExpr("silence"), "", nil, &zenoh.GetOptions{Timeout: 10 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	for reply := range replies {
		fmt.Println(errors.Is(reply.Err(), zenoh.ErrTimeout))
	}
	(<-forgetful.Handler()).Drop()
	// Output: true
}

func ExampleLiveliness() {
	ctx := context.Background()
	session := open("liveliness")
	defer session.Close(ctx)
	changes, err := session.Liveliness().DeclareSubscriber(ctx, zenoh.MustKeyExpr("robots/*"), nil, &zenoh.LivelinessSubscriberOptions{History: true})
	if err != nil {
		log.Fatal(err)
	}
	token, err := session.Liveliness().DeclareToken(ctx, zenoh.MustKeyExpr("robots/1"))
	if err != nil {
		log.Fatal(err)
	}
	token.Drop()
	for range 2 {
		change := <-changes.Handler()
		fmt.Println(change.Kind(), change.KeyExpr())
	}
	// Output:
	// PUT robots/1
	// DELETE robots/1
}

func ExampleSession_DeclareTransportEventsListener() {
	ctx := context.Background()
	session := open("events")
	defer session.Close(ctx)
	events, err := session.DeclareTransportEventsListener(zenoh.NewFifoChannel[zenoh.TransportEvent](8), nil)
	if err != nil {
		log.Fatal(err)
	}
	other := open("other", "inproc/events")
	fmt.Println((<-events.Handler()).Kind)
	if err := other.Close(ctx); err != nil {
		log.Fatal(err)
	}
	lost := <-events.Handler()
	fmt.Println(lost.Kind, lost.Err)
	// Output:
	// PUT
	// DELETE transport closed: generic
}

func ExampleConfigFromJSON5() {
	config, ignored, err := zenoh.ConfigFromJSON5([]byte(`{
		mode: "client", // a comment
		connect: { endpoints: ["tcp/localhost:7447"] },
		plugins: { rest: { http_port: 8000 } },
	}`))
	fmt.Println(config.Mode, config.Connect.Endpoints, ignored, err)
	// Output: client [tcp/localhost:7447] [plugins/rest/http_port] <nil>
}
