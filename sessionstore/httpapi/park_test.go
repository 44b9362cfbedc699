package httpapi

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// parkingLot returns a lot on loopback for at most so many connections.
func parkingLot(t *testing.T, most int) *lot {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newLot(l, most, time.Minute)
	t.Cleanup(func() { p.Close() })
	return p
}

func connect(t *testing.T, p *lot) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// serveOnce reads a request of five bytes as fasthttp would, answers it, and waits for the next one's first byte.
func serveOnce(t *testing.T, p *lot, want string) net.Conn {
	t.Helper()
	c, err := p.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	request := make([]byte, 5)
	for _, part := range [][]byte{request[:1], request[1:]} {
		if _, err := io.ReadFull(c, part); err != nil {
			t.Fatal(err)
		}
	}
	if string(request) != want {
		t.Fatalf("read %q, want %q", request, want)
	}
	if _, err := io.WriteString(c, "answer"); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSilentConnectionIsParked(t *testing.T) {
	p := parkingLot(t, 10)
	client := connect(t, p)
	var same net.Conn
	for _, request := range []string{"first", "again", "third"} {
		if _, err := io.WriteString(client, request); err != nil {
			t.Fatal(err)
		}
		c := serveOnce(t, p, request)
		if same == nil {
			same = c
		}
		if c != same {
			t.Error("it is another connection")
		}
		if _, err := io.ReadFull(client, make([]byte, len("answer"))); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("a silent connection: %d bytes, %v", n, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the lot was closed, and the client reads %d bytes, %v", n, err)
	}
	if _, err := p.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after the end: %v", err)
	}
}

// TestSlowRequestIsNotParked: only what is silent between two requests is.
func TestSlowRequestIsNotParked(t *testing.T) {
	p := parkingLot(t, 10)
	client := connect(t, p)
	if _, err := io.WriteString(client, "first"); err != nil {
		t.Fatal(err)
	}
	c := serveOnce(t, p, "first")
	defer c.Close()
	if _, err := io.WriteString(client, "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	later := time.AfterFunc(3*parkAfter, func() { io.WriteString(client, "l") })
	defer later.Stop()
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("the second byte of a slow request: %d, %v", n, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	p := parkingLot(t, 1)
	first := connect(t, p)
	if _, err := io.WriteString(first, "first"); err != nil {
		t.Fatal(err)
	}
	c := serveOnce(t, p, "first")
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // parked, it still counts
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connect(t, p)), nil)
	if err != nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Fatalf("one connection too many: %v, %v", answer, err)
	}
	answer.Body.Close()
	if _, err := io.WriteString(first, "again"); err != nil {
		t.Fatal(err)
	}
	if err := serveOnce(t, p, "again").Close(); err != nil {
		t.Fatal(err)
	}
	next := connect(t, p)
	if _, err := io.WriteString(next, "third"); err != nil {
		t.Fatal(err)
	}
	serveOnce(t, p, "third").Close()
}
