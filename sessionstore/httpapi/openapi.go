package httpapi

import (
	_ "embed"

	"github.com/valyala/fasthttp"
)

// openAPI describes this face, in OpenAPI 3.1. The tests hold every exchange against it.
//
//go:embed openapi.yaml
var openAPI []byte

// describe answers with the description.
func describe(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/yaml")
	ctx.SetBody(openAPI)
}
