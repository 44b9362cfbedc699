package check

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// newSMTP is the negotiate check of smtp and submission: a greeting, and an answer to EHLO or HELO.
func newSMTP(s Spec) (probe, error) {
	return s.converse("QUIT", func(_ context.Context, t talk) (string, error) {
		if _, _, err := t.ReadResponse(2); err != nil {
			return "", err
		}
		if _, err := t.command(2, "EHLO localhost"); err != nil {
			if _, err = t.command(2, "HELO localhost"); err != nil {
				return "", err
			}
		}
		return "greeted", nil
	}), nil
}

// newNNTP is the negotiate check of nntp: a greeting that is no refusal.
func newNNTP(s Spec) (probe, error) {
	return s.converse("QUIT", func(_ context.Context, t talk) (string, error) {
		_, _, err := t.ReadCodeLine(2)
		return "greeted", err
	}), nil
}

// newPOP is the negotiate check of pop and pops: a greeting and, with a login, a log-in.
//
// ldirectord's own counts as up without a login whatever happens, because Mail::POP3Client's constructor never fails.
func newPOP(s Spec) (probe, error) {
	return s.mailbox("QUIT", talk.popAnswer, talk.popLogin)
}

// mailbox is the negotiate check of where mail is fetched: greet reads the greeting, and login is for a Spec with a login.
func (s Spec) mailbox(farewell string, greet func(talk) (greeting string, err error), login func(t talk, s Spec, greeting string) error) (probe, error) {
	if err := noControls(s.Login, s.Passwd); err != nil {
		return nil, err
	}
	return s.converse(farewell, func(_ context.Context, t talk) (string, error) {
		greeting, err := greet(t)
		if err != nil || s.Login == "" {
			return "greeted", err
		}
		if err := login(t, s, greeting); err != nil {
			return "", fmt.Errorf("log-in: %w", err)
		}
		return "logged in", nil
	}), nil
}

// popStamp is what makes a greeting an offer of APOP (RFC 1939, section 7).
var popStamp = regexp.MustCompile(`<[^<>]*>`)

// popLogin logs in by APOP where the server offers that, else, or if it fails, by USER and PASS. So does
// Mail::POP3Client.
func (t talk) popLogin(s Spec, greeting string) error {
	if stamp := popStamp.FindString(greeting); stamp != "" {
		if err := t.popCommand("APOP %s %x", s.Login, md5.Sum([]byte(stamp+s.Passwd))); err == nil {
			return nil
		}
	}
	if err := t.popCommand("USER %s", s.Login); err != nil {
		return err
	}
	return t.popCommand("PASS %s", s.Passwd)
}

func (t talk) popCommand(format string, args ...any) error {
	if err := t.PrintfLine(format, args...); err != nil {
		return err
	}
	_, err := t.popAnswer()
	return err
}

// popAnswer reads a line that must begin with +OK, and returns the rest.
func (t talk) popAnswer() (string, error) {
	line, err := t.ReadLine()
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(line, "+OK")
	if !ok {
		return "", errors.New(firstLine(line))
	}
	return rest, nil
}

// newIMAP is the negotiate check of imap and imaps: a greeting and, with a login, a log-in.
func newIMAP(s Spec) (probe, error) {
	return s.mailbox("2 LOGOUT", talk.imapGreeting, talk.imapLogin)
}

var (
	imapWelcome = regexp.MustCompile(`(?i)^\* (OK|PREAUTH)\b`)
	imapQuoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
)

// imapGreeting reads the greeting.
func (t talk) imapGreeting() (string, error) {
	greeting, err := t.ReadLine()
	if err != nil {
		return "", err
	}
	if !imapWelcome.MatchString(greeting) {
		return "", errors.New(firstLine(greeting))
	}
	return greeting, nil
}

// imapLogin logs in and reads up to the answer to that, past what the server says unasked.
func (t talk) imapLogin(s Spec, _ string) error {
	if err := t.PrintfLine(`1 LOGIN "%s" "%s"`, imapQuoting.Replace(s.Login), imapQuoting.Replace(s.Passwd)); err != nil {
		return err
	}
	for {
		line, err := t.ReadLine()
		if err != nil {
			return err
		}
		rest, ours := strings.CutPrefix(line, "1 ")
		switch {
		case ours && strings.HasPrefix(strings.ToUpper(rest), "OK"):
			return nil
		case ours || !strings.HasPrefix(line, "* "):
			return errors.New(firstLine(rest))
		}
	}
}

// firstLine is what is shown of an answer that is not as expected.
func firstLine(line string) string {
	if line == "" {
		return "an empty line for an answer"
	}
	return "the answer is " + line[:min(len(line), 100)]
}

// noControls refuses what would end a line of a protocol.
func noControls(values ...string) error {
	for _, v := range values {
		if strings.ContainsAny(v, "\r\n\x00") {
			return errors.New("login, passwd and request must not hold line ends")
		}
	}
	return nil
}
