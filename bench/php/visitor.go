package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
)

// visitor is a browser that comes back to one page.
type visitor struct {
	client http.Client
	visits int
}

func newVisitor() *visitor {
	jar, _ := cookiejar.New(nil) // without options it cannot fail
	return &visitor{client: http.Client{Jar: jar, Transport: &http.Transport{}}}
}

// visit asks for the page once, and wants the next number of its counter: a session that was lost or mixed up is an error.
func (v *visitor) visit(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := v.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	v.visits++
	if answer.StatusCode != http.StatusOK || string(body) != strconv.Itoa(v.visits) {
		return fmt.Errorf("visit %d is answered with %s: %.300s", v.visits, answer.Status, body)
	}
	return nil
}
