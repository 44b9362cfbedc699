package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// maxAnswer bounds what a client reads of an answer that is not streamed: 1,000 services with 100 servers each take about
// 50 MB.
const maxAnswer = 256 << 20

// ErrNoDirector tells that nobody listens at a socket.
var ErrNoDirector = errors.New("no director listens")

// Client asks the director at a socket. Its methods may be called concurrently.
type Client struct {
	path      string
	transport *http.Transport
}

// NewClient returns a Client for the socket at path. It connects when it is asked something.
func NewClient(path string) *Client {
	return &Client{path, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
}

// Close closes the connections that are kept open.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Table returns the table.
func (c *Client) Table(ctx context.Context) (table []service.Snapshot, err error) {
	return table, c.get(ctx, "/v1/table", &table)
}

// Status returns what the director knows about its services.
func (c *Client) Status(ctx context.Context) (status Status, err error) {
	return status, c.get(ctx, "/v1/status", &status)
}

// Timeouts returns the time-outs of connections.
func (c *Client) Timeouts(ctx context.Context) (t ipvsadm.Timeouts, err error) {
	return t, c.get(ctx, "/v1/timeouts", &t)
}

// Daemons returns the connection synchronisation daemons that run.
func (c *Client) Daemons(ctx context.Context) (daemons []ipvsadm.Daemon, err error) {
	return daemons, c.get(ctx, "/v1/daemons", &daemons)
}

// Run has commands carried out, at most [MaxCommands], and returns as many results.
func (c *Client) Run(ctx context.Context, commands []ipvsadm.Command) ([]Result, error) {
	body, err := json.Marshal(commands)
	if err != nil {
		return nil, err
	}
	var results []Result
	if err := c.ask(ctx, http.MethodPost, "/v1/commands", body, func(r io.Reader) error { return json.NewDecoder(r).Decode(&results) }); err != nil {
		return nil, err
	}
	if len(results) != len(commands) {
		return nil, fmt.Errorf("ask the director at %s: %d results for %d commands", c.path, len(results), len(commands))
	}
	return results, nil
}

// Conns calls yield for each connection until it returns false.
func (c *Client) Conns(ctx context.Context, yield func(service.Conn) bool) error {
	return stream(ctx, c, "/v1/conns", yield)
}

// Events calls yield for each event that the director remembers, and then for each that comes, until yield returns false.
func (c *Client) Events(ctx context.Context, yield func(Event) bool) error {
	return stream(ctx, c, "/v1/events", yield)
}

func stream[T any](ctx context.Context, c *Client, path string, yield func(T) bool) error {
	ctx, cancel := context.WithCancel(ctx) // so that what is not read is not waited for
	defer cancel()
	return c.ask(ctx, http.MethodGet, path, nil, func(r io.Reader) error {
		for in := json.NewDecoder(r); ; {
			var value T
			err := in.Decode(&value)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(value) {
				cancel()
				return nil
			}
		}
	})
}

func (c *Client) get(ctx context.Context, path string, to any) error {
	return c.ask(ctx, http.MethodGet, path, nil, func(r io.Reader) error {
		return json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(to)
	})
}

func (c *Client) ask(ctx context.Context, method, path string, body []byte, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://lvsproxy"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := c.transport.RoundTrip(request)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s: %w", ErrNoDirector, c.path, err)
	case err != nil:
		return fmt.Errorf("ask the director at %s: %w", c.path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return fmt.Errorf("ask the director at %s: it answered %s: %s", c.path, answer.Status, strings.TrimSpace(string(text)))
	}
	if err := read(answer.Body); err != nil {
		return fmt.Errorf("read the answer of the director at %s: %w", c.path, err)
	}
	return nil
}
