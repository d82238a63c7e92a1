package transport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Extensions nested in the authentication extension: proof of a user's password.
const (
	authOffer  = 0x02 // a client will prove who it is; a server accepted the proof
	authNonce  = 0x22
	authAnswer = 0x42
)

// proof is what shows that one knows the password, without saying it.
func proof(nonce uint64, password string) []byte {
	key := binary.LittleEndian.AppendUint64(nil, nonce)
	mac := hmac.New(func() hash.Hash { return sha3.New256() }, key)
	mac.Write([]byte(password))
	return mac.Sum(nil)
}

func newNonce() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// nested gives the nested extension of that id.
func nested(auth []byte, id byte) (wire.Extension, error) {
	list, err := wire.DecodeExtensions(auth)
	if err != nil {
		return wire.Extension{}, fmt.Errorf("%w: %w", ErrAuth, err)
	}
	for _, e := range list {
		if e.ID == id {
			return e, nil
		}
	}
	return wire.Extension{}, fmt.Errorf("%w: no user and password", ErrAuth)
}

// answer gives the authentication extension of Open, for that of the InitAck.
func answer(auth []byte, user, password string) ([]byte, error) {
	nonce, err := nested(auth, authNonce)
	if err != nil {
		return nil, err
	}
	body := wire.AppendZInt(nil, uint64(len(user)))
	body = append(body, user...)
	mac := proof(nonce.Value, password)
	body = append(wire.AppendZInt(body, uint64(len(mac))), mac...)
	return wire.AppendExtensions(nil, []wire.Extension{{ID: authAnswer, Body: body}}), nil
}

// verify gives the user who proved to be one in an Open.
func verify(auth []byte, nonce uint64, passwordOf func(string) (string, bool)) (string, error) {
	e, err := nested(auth, authAnswer)
	if err != nil {
		return "", err
	}
	user, rest, ok := cutBytes(e.Body)
	mac, rest, ok2 := cutBytes(rest)
	if !ok || !ok2 || len(rest) > 0 {
		return "", fmt.Errorf("%w: malformed", ErrAuth)
	}
	password, known := passwordOf(string(user))
	if want := proof(nonce, password); !hmac.Equal(mac, want) || !known { // as long for an unknown user
		return "", fmt.Errorf("%w: user %.64q", ErrAuth, user)
	}
	return string(user), nil
}

// cutBytes reads a length and that many bytes.
func cutBytes(b []byte) (p, rest []byte, ok bool) {
	v, n := wire.ReadZInt(b)
	if n == 0 || v > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(v)], b[n+int(v):], true
}
