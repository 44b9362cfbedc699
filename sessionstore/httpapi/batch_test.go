package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// result is one result of a batch.
type result struct {
	Status                 int
	Version                uint64
	Payload                []byte
	Title, Detail          string
	CreatedMS              int64 `json:"created_ms"`
	ExpiresMS              int64 `json:"expires_ms"`
	DeadlineMS, RetryAfter int64
}

// batch sends a batch, and returns one result for each operation.
func (f *face) batch(operations ...string) []result {
	f.Helper()
	a := f.do("POST", "/v1/shop/batch", `{"operations":[`+strings.Join(operations, ",")+`]}`, "Content-Type", "application/json")
	var answer struct{ Results []result }
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || a.StatusCode != 200 || len(answer.Results) != len(operations) {
		f.Fatalf("%d %s: %v", a.StatusCode, a.body, err)
	}
	return answer.Results
}

func TestBatch(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	a, b, c := strings.Repeat("a", 22), strings.Repeat("b", 22), strings.Repeat("c", 22)
	op := func(op, id, more string) string { return fmt.Sprintf(`{"op":%q,"id":%q%s}`, op, id, more) }
	got := f.batch(
		op("write", a, `,"payload":"b25l","if_version":0`), // "one"
		op("read", a, ""),
		op("write", a, `,"payload":"dHdv","if_version":7`),
		op("read", b, ""),
		op("touch", b, `,"create":true,"idle_ms":60000`),
		op("read", b, ""),
		op("destroy", c, ""),
		op("touch", c, `,"create":true`),
		op("write", c, `,"payload":""`),
		op("write", "../"+a, ""),
		op("read", a, `,"create":true`),
		op("read", a, `,"if_version":1`),
		op("destroy", a, `,"idle_ms":1`),
		op("regenerate", a, ""),
		op("write", a, `,"idle_ms":-1`),
		op("write", b, `,"payload":"b25l","subject":"alice"`),
		op("touch", b, `,"subject":"alice"`),
	)
	for i, want := range []struct {
		status int
		title  string
	}{
		{204, ""}, {200, ""}, {412, "conflict"}, {404, "not found"}, {204, ""}, {200, ""}, {204, ""}, {410, "destroyed"}, {410, "destroyed"},
		{400, "invalid"}, {400, "invalid"}, {400, "invalid"}, {400, "invalid"}, {400, "invalid"}, {400, "invalid"}, {204, ""}, {400, "invalid"},
	} {
		if got[i].Status != want.status || got[i].Title != want.title || (want.title != "") != (got[i].Detail != "") {
			t.Errorf("operation %d: %+v, want %d %q", i, got[i], want.status, want.title)
		}
	}
	if one := got[1]; string(one.Payload) != "one" || one.Version != 1 || one.ExpiresMS <= one.CreatedMS {
		t.Errorf("read after write: %+v", one)
	}
	if empty := got[5]; empty.ExpiresMS-empty.CreatedMS != 60_000 {
		t.Errorf("touched for a minute: %+v", empty)
	}
	f.want(f.do("GET", "/v1/shop/sessions/"+a, ""), 200, "one")
}

func TestBatchBounds(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	one := `{"op":"read","id":"` + strings.Repeat("a", 22) + `"}`
	many := strings.TrimSuffix(strings.Repeat(one+",", 129), ",")
	for _, body := range []string{"", "{}", `{"operations":[]}`, `{"operations":[` + many + `]}`, `{"operations":[{"op":"read","name":"x"}]}`, "["} {
		f.refused(f.do("POST", "/v1/shop/batch", body), 400, "invalid")
	}
	f.refused(f.do("GET", "/v1/shop/batch", ""), 405, "method not allowed")
	f.refused(f.do("POST", "/v1/Shop/batch", "{}"), 400, "invalid")
	large := `{"operations":[` + strings.Repeat(" ", sessionstore.MaxPayload*2+1) + `]}`
	f.refused(f.do("POST", "/v1/shop/batch", large), 413, "too large")
}

func TestBatchStoreAway(t *testing.T) {
	f := start(t, away{memory.New(nil)}, httpapi.Options{}, nil)
	for _, r := range f.batch(`{"op":"read","id":"` + strings.Repeat("a", 22) + `"}`) {
		if r.Status != 503 || r.Title != "unavailable" {
			t.Errorf("%+v", r)
		}
	}
}
