package alert

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"os/user"
	"strings"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/internal/program"
)

// mail queues an e-mail about a service, if one is wanted.
func (a *Alerter) mail(v config.Virtual, phase Phase, subject, reason string) {
	if v.Alert.To == "" || !wanted(v.Alert.Statuses, phase) {
		return
	}
	l := a.letter(v, phase, subject, reason)
	to := v.Alert.SMTP
	a.mails.put(subject, func(ctx context.Context) error {
		if to != "" {
			return l.bySMTP(ctx, to, a.host)
		}
		return l.bySendmail(ctx, a.options)
	})
}

// letter is an e-mail.
type letter struct {
	from string   // of the envelope
	to   []string // of the envelope
	text []byte   // header and body
}

// letter writes an e-mail as ldirectord does, and adds why.
func (a *Alerter) letter(v config.Virtual, phase Phase, subject, reason string) letter {
	ourselves := userName() + "@" + a.host
	from := v.Alert.From
	if from == "" {
		from = ourselves
	}
	body := fmt.Sprintf("lvsproxy host: %s\nLog-Message: %s\nDaemon-Status: %s\n", a.host, subject, phase)
	if reason != "" {
		body += "Reason: " + reason + "\n"
	}
	if v.ServiceName != "" {
		subject = "[" + v.ServiceName + "] " + subject
		body += "\nService name: " + v.ServiceName + "\n"
	}
	if v.Comment != "" {
		body += "\nComment: " + v.Comment + "\n"
	}
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, oneLine(value)) }
	header("From", from)
	header("To", v.Alert.To)
	header("Subject", mime.QEncoding.Encode("utf-8", oneLine(subject)))
	header("Date", time.Now().Format(time.RFC1123Z))
	header("Message-ID", fmt.Sprintf("<%d.%s>", time.Now().UnixNano(), ourselves))
	header("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence is answered to us
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	w.Write([]byte(body)) // into memory: it cannot fail
	w.Close()
	return letter{address(from, ourselves), addresses(v.Alert.To), b.Bytes()}
}

func (l letter) bySMTP(ctx context.Context, host, ourselves string) error {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "25")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if err := c.Hello(ourselves); err != nil {
		return err
	}
	if err := c.Mail(l.from); err != nil {
		return fmt.Errorf("MAIL FROM %s: %w", l.from, err)
	}
	for _, to := range l.to {
		if err := c.Rcpt(to); err != nil {
			return fmt.Errorf("RCPT TO %s: %w", to, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(l.text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	c.Quit() // it has the letter, whatever it says now
	return nil
}

func (l letter) bySendmail(ctx context.Context, o Options) error {
	text := bytes.ReplaceAll(l.text, []byte("\r\n"), []byte("\n"))
	output, err := program.Feed(ctx, o.Timeout, text, o.Sendmail, "-t", "-oi")
	if err != nil {
		return fmt.Errorf("%s: %w: %s", o.Sendmail, err, program.LastLine(output))
	}
	return nil
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}

// address returns the address in a From header, which may be any that RFC 5322 allows.
func address(from, otherwise string) string {
	if a, err := mail.ParseAddress(from); err == nil {
		return a.Address
	}
	return otherwise
}

// addresses returns those in a list joined by commas.
func addresses(list string) []string {
	var all []string
	if parsed, err := mail.ParseAddressList(list); err == nil {
		for _, a := range parsed {
			all = append(all, a.Address)
		}
		return all
	}
	for a := range strings.SplitSeq(list, ",") { // such as "root", which is no address but may be delivered
		if a = strings.TrimSpace(a); a != "" {
			all = append(all, a)
		}
	}
	return all
}

// oneLine keeps a value from ending its header.
func oneLine(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }
