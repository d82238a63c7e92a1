package router

import (
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestPushGoesToEachFaceOnce(t *testing.T) { // 11.3 row 2
	r := start(t, Config{})
	a, b, c := dial(t, r, transport.Config{}), dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	a.say(sub(1, "demo/**"))
	a.sync()
	b.say(sub(1, "demo/*"), sub(2, "demo/a"), sub(3, "**"))
	b.sync()
	c.say(sub(1, "other/**"))
	c.sync()
	a.say(putOf("demo/a", "one"), putOf("demo/b/c", "two"), putOf("other/x", "three"), putOf("demo/a", "four"))
	a.sync()
	b.hears("put demo/a one", "put demo/b/c two", "put other/x three", "put demo/a four")
	c.hears("put other/x three")
	b.say(undeclare(wire.UndeclareSubscriber, 3))
	b.sync()
	a.say(putOf("demo/b/c", "five"), putOf("demo/a", "six"))
	b.hears("put demo/a six")
}

func TestQuery(t *testing.T) { // 11.3 row 4
	r := start(t, Config{})
	asker, one, two := dial(t, r, transport.Config{}), dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	asker.say(get(1, "q/a", wire.BestMatching))
	asker.hears("final 1")
	one.say(qabl(1, "q/*"), qabl(2, "q/a"))
	one.sync()
	asker.say(get(2, "q/a", wire.BestMatching))
	one.hears("request 1 q/a")
	one.say(replyOf(1, "q/a", "x"), final(1))
	asker.hears("reply 2 q/a x", "final 2")
	two.say(complete(1, "q/**"))
	two.sync()
	asker.say(get(3, "q/a", wire.BestMatching), get(4, "q/a", wire.AllComplete), get(5, "q/a", wire.All))
	two.hears("request 1 q/a", "request 2 q/a", "request 3 q/a")
	one.hears("request 2 q/a")
	two.say(final(1), final(2), final(3))
	asker.hears("final 3", "final 4")
	one.hangUp()
	asker.hears("final 5")
}

func TestLiveliness(t *testing.T) { // 11.3 row 8
	r := start(t, Config{})
	a, b := dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	a.say(token(1, "group/a"))
	a.sync()
	b.say(interestIn(1, wire.InterestCurrent, wire.InterestTokens, "group/**"))
	b.hears("answer 1: token 1 group/a", "answer 1: final")
	b.say(interestIn(2, wire.InterestCurrentFuture, wire.InterestTokens, "group/**"))
	b.hears("answer 2: token 2 group/a", "answer 2: final")
	a.say(token(2, "group/b"))
	b.hears("token 3 group/b")
	a.hangUp()
	b.hearsAll("no token 2", "no token 3")
}
