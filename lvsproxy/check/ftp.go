package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
)

// newFTP is the negotiate check of ftp: log in, fetch the file that request names, match it. With the request left at its
// default "/", which is no file, logging in is enough.
//
// ldirectord ignores every refusal and matches what it has then, if only nothing at all.
func newFTP(s Spec) (probe, error) {
	if err := noControls(s.Login, s.Passwd, s.Request); err != nil {
		return nil, err
	}
	receive, err := newPattern(s.Receive)
	if err != nil {
		return nil, err
	}
	return s.converse("QUIT", func(ctx context.Context, t talk) (string, error) {
		if err := t.ftpLogin(s); err != nil {
			return "", err
		}
		if s.Request == "" || s.Request == "/" {
			return "logged in", nil
		}
		file, err := t.ftpFetch(ctx, s)
		if err != nil {
			return "", err
		}
		if !receive.matches(file) {
			return "", fmt.Errorf("the file of %d bytes does not match receive", len(file))
		}
		return fmt.Sprintf("fetched %d bytes", len(file)), nil
	}), nil
}

// ftpLogin logs in and goes to the root, as ldirectord does.
func (t talk) ftpLogin(s Spec) error {
	if _, _, err := t.ReadResponse(2); err != nil {
		return err
	}
	if err := t.PrintfLine("USER %s", s.Login); err != nil {
		return err
	}
	code, message, err := t.ReadResponse(0)
	switch {
	case err != nil:
		return fmt.Errorf("USER: %w", err)
	case code == 331:
		if _, err := t.command(2, "PASS %s", s.Passwd); err != nil {
			return fmt.Errorf("PASS: %w", err)
		}
	case code != 230:
		return fmt.Errorf("USER: %d %s", code, message)
	}
	if _, err := t.command(2, "CWD /"); err != nil {
		return fmt.Errorf("CWD: %w", err)
	}
	return nil
}

// ftpFetch fetches a file in passive mode, up to MaxAnswer bytes of it.
func (t talk) ftpFetch(ctx context.Context, s Spec) ([]byte, error) {
	if _, err := t.command(2, "TYPE I"); err != nil {
		return nil, fmt.Errorf("TYPE: %w", err)
	}
	port, err := t.ftpPassive(s.Target.Addr())
	if err != nil {
		return nil, err
	}
	// Never to another host than the one under check, whatever the answer says: a server behind NAT gives one that does
	// not work from here, and a hostile one would have us connect for it.
	data, err := dial(ctx, "tcp", netip.AddrPortFrom(s.Target.Addr(), port))
	if err != nil {
		return nil, fmt.Errorf("data connection: %w", err)
	}
	defer data.Close()
	if _, err := t.command(1, "RETR %s", s.Request); err != nil {
		return nil, fmt.Errorf("RETR: %w", err)
	}
	file, err := io.ReadAll(data)
	if err != nil && !errors.Is(err, errTooLong) {
		return nil, fmt.Errorf("data connection: %w", err)
	}
	if len(file) == MaxAnswer {
		return file, nil // the server will not like that the rest is not read
	}
	data.Close()
	if _, _, err := t.ReadResponse(2); err != nil {
		return nil, fmt.Errorf("RETR: %w", err)
	}
	return file, nil
}

// ftpPassive asks where to connect to: by PASV (RFC 959) for IPv4, by EPSV (RFC 2428) for IPv6, and returns the port.
func (t talk) ftpPassive(server netip.Addr) (uint16, error) {
	name, parse := "PASV", parsePASV
	if server.Is6() {
		name, parse = "EPSV", parseEPSV
	}
	message, err := t.command(2, "%s", name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	port, ok := parse(message)
	if !ok {
		return 0, fmt.Errorf("%s: the answer names no port", name)
	}
	return port, nil
}

var (
	pasvAnswer = regexp.MustCompile(`\d{1,3},\d{1,3},\d{1,3},\d{1,3},(\d{1,3}),(\d{1,3})`)
	epsvAnswer = regexp.MustCompile(`\((?:\|\|\|(\d{1,5})\||!!!(\d{1,5})!)\)`)
)

func parsePASV(message string) (uint16, bool) {
	m := pasvAnswer.FindStringSubmatch(message)
	if m == nil {
		return 0, false
	}
	high, err1 := strconv.ParseUint(m[1], 10, 8)
	low, err2 := strconv.ParseUint(m[2], 10, 8)
	port := uint16(high)<<8 | uint16(low)
	return port, err1 == nil && err2 == nil && port != 0
}

func parseEPSV(message string) (uint16, bool) {
	m := epsvAnswer.FindStringSubmatch(message)
	if m == nil {
		return 0, false
	}
	port, err := strconv.ParseUint(m[1]+m[2], 10, 16)
	return uint16(port), err == nil && port != 0
}
