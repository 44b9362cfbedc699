package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

// maxTable bounds what Table reads: 1,000 services with 100 servers each take about 25 MB.
const maxTable = 256 << 20

// Table asks the director that listens at path for its table.
func Table(ctx context.Context, path string) ([]service.Snapshot, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://lvsproxy/v1/table", nil)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("no director listens at %s: %w", path, err)
		}
		return nil, fmt.Errorf("ask the director at %s: %w", path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the director at %s: it answered %s", path, answer.Status)
	}
	var table []service.Snapshot
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxTable)).Decode(&table); err != nil {
		return nil, fmt.Errorf("read the table from %s: %w", path, err)
	}
	return table, nil
}
