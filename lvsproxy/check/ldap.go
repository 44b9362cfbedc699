package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

func init() { ldap.Logger(log.New(io.Discard, "", 0)) } // it would write of broken answers to standard error

// newLDAP is the negotiate check of ldap and ldaps: bind (anonymously, unless both login and passwd are given), then read
// the entry that request names, after its slash; exactly one must come, and its name must match. The empty name is the
// root entry (RFC 4512, section 5.1), which every server has.
func newLDAP(s Spec) (probe, error) {
	receive, err := newPattern(s.Receive)
	if err != nil {
		return nil, err
	}
	base := strings.TrimPrefix(s.Request, "/")
	if _, err := ldap.ParseDN(base); err != nil {
		return nil, fmt.Errorf("request: %q is no distinguished name: %w", base, err)
	}
	return func(ctx context.Context) (string, error) {
		c, err := s.dial(ctx)
		if err != nil {
			return "", err
		}
		l := ldap.NewConn(c, s.secure())
		l.Start()
		defer l.Close()
		if s.Login != "" && s.Passwd != "" {
			err = l.Bind(s.Login, s.Passwd)
		} else {
			err = l.UnauthenticatedBind("")
		}
		if err != nil {
			return "", fmt.Errorf("bind: %w", err)
		}
		answer, err := l.Search(ldap.NewSearchRequest(base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 2, 0, false, "(objectClass=*)", []string{"1.1"}, nil))
		switch {
		case err != nil:
			return "", fmt.Errorf("search: %w", err)
		case len(answer.Entries) != 1:
			return "", fmt.Errorf("search: %d entries, where one was expected", len(answer.Entries))
		case !receive.matches([]byte(answer.Entries[0].DN)):
			return "", errors.New("the entry's name does not match receive")
		}
		return "found the entry", nil
	}, nil
}
