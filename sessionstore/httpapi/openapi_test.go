package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/paths"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/lvsession/lvsession/sessionstore/httpapi"
	"github.com/lvsession/lvsession/sessionstore/memory"
)

// description is openapi.yaml, and which of its answers the tests have seen.
type description struct {
	model     *v3.Document
	validator validator.Validator

	mu   sync.Mutex
	seen map[string]bool // "operationId status"
}

// described returns the description, parsed once.
var described = sync.OnceValues(func() (*description, error) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	model, err := document.BuildV3Model()
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		return nil, fmt.Errorf("openapi.yaml: %v", errs)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		return nil, fmt.Errorf("openapi.yaml: %v", errs)
	}
	return &description{model: &model.Model, validator: v, seen: map[string]bool{}}, nil
})

// conforms holds an answer against the description of the operation that the request was for, if it was for any.
func conforms(t *testing.T, a answer) {
	t.Helper()
	d, err := described()
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	item, errs, _ := paths.FindPath(a.Request, d.model, nil)
	if item == nil || len(errs) > 0 {
		return // no such path, or not with such parameters: the test says what must become of it
	}
	operation, ok := item.GetOperations().Get(strings.ToLower(a.Request.Method))
	if !ok || a.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
		return // refused before it was any operation
	}
	name := operation.OperationId
	response, ok := operation.Responses.Codes.Get(fmt.Sprint(a.StatusCode))
	if !ok {
		t.Errorf("openapi.yaml: %s never answers %d", name, a.StatusCode)
		return
	}
	d.seen[fmt.Sprintf("%s %d", name, a.StatusCode)] = true
	for header := range a.Header {
		if ours := strings.HasPrefix(header, "Session-") || header == "Etag" || header == "Retry-After"; !ours {
			continue
		}
		if !slices.ContainsFunc(slices.Collect(response.Headers.KeysFromOldest()), func(h string) bool { return strings.EqualFold(h, header) }) {
			t.Errorf("openapi.yaml: %s %d has no header %s", name, a.StatusCode, header)
		}
	}
	served := *a.Response
	served.Body = io.NopCloser(strings.NewReader(a.body))
	d.valid(t, name, a.StatusCode, func() (bool, []*invalid) { return d.validator.ValidateHttpResponse(a.Request, &served) })
	if a.StatusCode >= 300 || strings.Contains(a.body, `"status":400`) { // of a batch: one operation was malformed
		return
	}
	request := a.Request.Clone(t.Context())
	if request.Body, err = a.Request.GetBody(); err != nil {
		t.Fatal(err)
	}
	d.valid(t, name, a.StatusCode, func() (bool, []*invalid) { return d.validator.ValidateHttpRequestSync(request) })
}

type invalid = errors.ValidationError

// valid holds a message against the description.
func (d *description) valid(t *testing.T, name string, status int, check func() (bool, []*invalid)) {
	t.Helper()
	if ok, errs := check(); !ok {
		for _, e := range errs {
			t.Errorf("openapi.yaml: %s %d: %s: %s %v", name, status, e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

// unseen lists the answers that are described and that no test has seen.
func (d *description) unseen() (list []string) {
	for path := range d.model.Paths.PathItems.ValuesFromOldest() {
		for operation := range path.GetOperations().ValuesFromOldest() {
			for status := range operation.Responses.Codes.KeysFromOldest() {
				if name := operation.OperationId + " " + status; !d.seen[name] {
					list = append(list, name)
				}
			}
		}
	}
	return list
}

func TestDescriptionIsServed(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f.want(f.do("GET", "/openapi.yaml", ""), 200, string(want))
}

// TestEveryRefusal asks for the refusals that no other test here is about.
func TestEveryRefusal(t *testing.T) {
	f := start(t, memory.New(nil), httpapi.Options{}, nil)
	f.want(f.do("GET", "/readyz", ""), 200, "ready\n")
	unknown := "/v1/shop/sessions/" + strings.Repeat("u", 22)
	ended := f.login("x")
	f.want(f.do("DELETE", ended, ""), 204, "")
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		title              string
	}{
		{"POST", "/v1/shop/sessions", "{", nil, 400, "invalid"},
		{"PUT", unknown, "x", []string{"If-Match", `"3"`}, 404, "not found"},
		{"POST", unknown + "/touch", "", nil, 404, "not found"},
		{"POST", unknown + "/regenerate", `{"drop":1}`, nil, 400, "invalid"},
		{"POST", unknown + "/regenerate", "", nil, 404, "not found"},
		{"POST", ended + "/regenerate", "", nil, 410, "destroyed"},
		{"POST", f.login("x") + "/regenerate", "", []string{"Session-Lease", "1"}, 412, "conflict"},
		{"POST", unknown + "/close", "", []string{"Session-Lease", "x"}, 400, "invalid"},
	} {
		f.refused(f.do(c.method, c.path, c.body, c.headers...), c.status, c.title)
	}
	for path, status := range map[string]int{unknown: 404, "/v1/shop/sessions/short": 400} {
		if a := f.do("HEAD", path, ""); a.StatusCode != status {
			t.Errorf("HEAD %s: %d, want %d", path, a.StatusCode, status)
		}
	}
}
