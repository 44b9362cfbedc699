package check

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// newRADIUS is the negotiate check of radius: an Access-Request (RFC 2865) with login and passwd must be accepted.
func newRADIUS(s Spec) (probe, error) {
	if len(s.Login) > maxRADIUSValue || len(s.Passwd) > maxRADIUSPassword {
		return nil, fmt.Errorf("login or passwd is too long: expected at most %d and %d bytes", maxRADIUSValue, maxRADIUSPassword)
	}
	return func(ctx context.Context) (string, error) {
		c, err := s.dial(ctx)
		if err != nil {
			return "", err
		}
		defer c.Close()
		request := newAccessRequest(s.Login, s.Passwd, []byte(s.Secret))
		var code byte
		err = exchange(ctx, c, request, func(answer []byte) (bool, error) {
			var ours bool
			code, ours = parseRADIUS(answer, request, []byte(s.Secret))
			return ours, nil
		})
		if err != nil {
			return "", err
		}
		switch code {
		case accessAccept:
			return "accepted", nil
		case accessReject:
			return "", errors.New("Access-Reject")
		}
		return "", fmt.Errorf("the answer has code %d", code)
	}, nil
}

// Codes and attributes of RFC 2865, and the attribute of RFC 2869.
const (
	accessRequest = 1
	accessAccept  = 2
	accessReject  = 3

	attrUserName             = 1
	attrUserPassword         = 2
	attrNASIdentifier        = 32
	attrMessageAuthenticator = 80

	radiusHeader      = 20
	maxRADIUS         = 4096
	maxRADIUSValue    = 253
	maxRADIUSPassword = 128
)

// newAccessRequest returns a packet. Its Message-Authenticator comes first, as the answer to CVE-2024-3596 wants it;
// servers may refuse packets without one.
func newAccessRequest(login, passwd string, secret []byte) []byte {
	p := make([]byte, radiusHeader, 512)
	rand.Read(p[1:radiusHeader]) // the identifier and the authenticator; the length is overwritten
	p[0] = accessRequest
	attribute := func(kind byte, value []byte) {
		p = append(append(p, kind, byte(2+len(value))), value...)
	}
	attribute(attrMessageAuthenticator, make([]byte, md5.Size))
	attribute(attrUserName, []byte(login))
	attribute(attrUserPassword, hidePassword(passwd, secret, p[4:radiusHeader]))
	attribute(attrNASIdentifier, []byte("lvsproxy"))
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	mac := hmac.New(md5.New, secret)
	mac.Write(p)
	copy(p[radiusHeader+2:], mac.Sum(nil))
	return p
}

// hidePassword is RFC 2865, section 5.2.
func hidePassword(passwd string, secret, authenticator []byte) []byte {
	padded := max((len(passwd)+15)/16, 1) * 16
	hidden := make([]byte, padded)
	copy(hidden, passwd)
	before := authenticator
	for block := range slices.Chunk(hidden, 16) {
		key := md5.Sum(slices.Concat(secret, before))
		for i := range block {
			block[i] ^= key[i]
		}
		before = block
	}
	return hidden
}

// parseRADIUS returns an answer's code. It reports false if this is no answer to the request from one who knows the
// secret.
func parseRADIUS(answer, request, secret []byte) (code byte, ours bool) {
	if len(answer) < radiusHeader || answer[1] != request[1] {
		return 0, false
	}
	length := int(binary.BigEndian.Uint16(answer[2:]))
	if length < radiusHeader || length > len(answer) || length > maxRADIUS {
		return 0, false
	}
	answer = answer[:length] // what follows is padding (section 3)
	want := md5.Sum(slices.Concat(answer[:4], request[4:radiusHeader], answer[radiusHeader:], secret))
	if !hmac.Equal(want[:], answer[4:radiusHeader]) {
		return 0, false
	}
	return answer[0], authentic(answer, request, secret)
}

// authentic checks the Message-Authenticator of an answer, if there is one (RFC 2869, section 5.14).
func authentic(answer, request, secret []byte) bool {
	for at := radiusHeader; at < len(answer); {
		if len(answer)-at < 2 || answer[at+1] < 2 || int(answer[at+1]) > len(answer)-at {
			return false
		}
		end := at + int(answer[at+1])
		if answer[at] == attrMessageAuthenticator {
			if end-at != 2+md5.Size {
				return false
			}
			signed := slices.Concat(answer[:4], request[4:radiusHeader], answer[radiusHeader:])
			clear(signed[at+2 : end])
			mac := hmac.New(md5.New, secret)
			mac.Write(signed)
			return hmac.Equal(mac.Sum(nil), answer[at+2:end])
		}
		at = end
	}
	return true
}
