package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Post is the body of a webhook's request, as JSON.
type Post struct {
	Time time.Time `json:"time"`
	// Host is the director's name.
	Host  string            `json:"host"`
	Phase Phase             `json:"phase"`
	Event service.EventKind `json:"event"`
	// Protocol and Virtual are the virtual service: an address and port, or a firewall mark.
	Protocol string `json:"protocol"`
	Virtual  string `json:"virtual"`
	// Server is the real or fallback server; left out for events about the whole service.
	Server      string `json:"server,omitempty"`
	Reason      string `json:"reason"`
	ServiceName string `json:"service_name,omitempty"`
	Comment     string `json:"comment,omitempty"`
}

// client follows no redirects: an address that has moved is for the operator to correct.
var client = &http.Client{
	Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 1, IdleConnTimeout: 30 * time.Second, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post queues a request to a service's webhook.
func (a *Alerter) post(c Change) {
	p := Post{
		Time: c.Time, Host: a.host, Phase: c.Phase, Event: c.Kind, Protocol: string(c.Virtual.Protocol), Virtual: c.Virtual.Target(),
		Reason: c.Reason, ServiceName: c.Service.ServiceName, Comment: c.Service.Comment,
	}
	what := fmt.Sprintf("%s (%s)", c.Kind, p.Virtual)
	if c.Server.IsValid() {
		p.Server = c.Server.String()
		what = fmt.Sprintf("%s: %s (%s)", c.Kind, p.Server, p.Virtual)
	}
	body, err := json.Marshal(p)
	if err != nil { // it holds nothing that cannot be written
		return
	}
	to := c.Service.Alert.Webhook
	a.posts.put(what, func(ctx context.Context) error { return send(ctx, to, body) })
}

// send posts a body. Its errors do not hold the address, which may hold a key.
func send(ctx context.Context, to string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("webhook is no address")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "lvsproxy")
	answer, err := client.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return errors.New(answer.Status)
	}
	return nil
}
