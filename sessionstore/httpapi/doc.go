// Package httpapi serves a [sessionstore.Service] over HTTP/1.1, as docs/http-api.md describes it: payloads as bodies,
// everything else in headers or a small JSON body, errors as application/problem+json.
package httpapi
