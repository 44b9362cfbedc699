package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Director is what is looked at and changed: an lvsproxy.Director.
type Director interface {
	Table() []service.Snapshot
	Ready() <-chan struct{}
	Conns(yield func(service.Conn) bool)
	Timeouts() service.Timeouts

	AddService(id config.VirtualID, s service.Settings) error
	EditService(id config.VirtualID, s service.Settings) error
	DeleteService(id config.VirtualID) error
	AddServer(id config.VirtualID, addr netip.AddrPort, s service.ServerSettings) error
	EditServer(id config.VirtualID, addr netip.AddrPort, s service.ServerSettings) error
	DeleteServer(id config.VirtualID, addr netip.AddrPort) error
	Flush() error
	Zero(id *config.VirtualID) error
	SetTimeouts(t service.Timeouts) error

	StartSync(d service.SyncDaemon) error
	StopSync(state string) error
	SyncDaemons() ([]service.SyncDaemon, error)
}

// Limits of the protocol.
const (
	// MaxCommands is how many commands one request may hold, and maxBody how many bytes.
	MaxCommands = 1000
	maxBody     = 4 << 20
	// maxStreams bounds how many requests follow the events at once.
	maxStreams = 16
	// writeTimeout bounds an answer, or a part of one that is streamed.
	writeTimeout = 30 * time.Second
)

// handler serves a director.
type handler struct {
	director Director
	record   *Record
	streams  chan struct{}
}

// Handler returns what the admin socket serves. The Record must be told what the director says.
func Handler(d Director, rec *Record) http.Handler {
	h := &handler{d, rec, make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	h.readOnly(mux)
	mux.HandleFunc("GET /v1/table", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.Table()) })
	mux.HandleFunc("GET /v1/timeouts", func(w http.ResponseWriter, _ *http.Request) { answer(w, ipvsadm.TimeoutsOf(d.Timeouts())) })
	mux.HandleFunc("GET /v1/daemons", h.daemons)
	mux.HandleFunc("POST /v1/commands", h.commands)
	mux.HandleFunc("GET /v1/conns", h.conns)
	mux.HandleFunc("GET /v1/events", h.follow)
	return mux
}

// daemons answers with the connection synchronisation daemons that run.
func (h *handler) daemons(w http.ResponseWriter, _ *http.Request) {
	running, err := h.director.SyncDaemons()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	daemons := make([]ipvsadm.Daemon, 0, len(running))
	for _, d := range running {
		daemons = append(daemons, ipvsadm.DaemonOf(d))
	}
	answer(w, daemons)
}

// ReadOnly returns what can be served to a whole network: the status, the metrics and the director's health.
func ReadOnly(d Director, rec *Record) http.Handler {
	h := &handler{d, rec, nil}
	mux := http.NewServeMux()
	h.readOnly(mux)
	return mux
}

func (h *handler) readOnly(mux *http.ServeMux) {
	mux.Handle("GET /metrics", metrics(h.director, h.record))
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, statusOf(h.director, h.record)) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !isReady(h.director) {
			http.Error(w, "not every virtual service is open, or some real server has not been checked yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

func isReady(d Director) bool {
	select {
	case <-d.Ready():
		return true
	default:
		return false
	}
}

// answer sends a value as JSON. An error means that the client went away.
func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}

// commands carries out what it is sent. A request that is no array of commands that change something changes nothing.
func (h *handler) commands(w http.ResponseWriter, r *http.Request) {
	commands, err := readCommands(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	results := make([]Result, len(commands))
	for i, c := range commands {
		results[i] = resultOf(run(h.director, c))
	}
	answer(w, results)
}

// streamTo prepares an answer that takes as long as it takes: the request's read deadline, which would end it, is over.
func streamTo(w http.ResponseWriter) (*json.Encoder, *http.ResponseController) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{})
	return json.NewEncoder(w), control
}

// conns streams the connections.
func (h *handler) conns(w http.ResponseWriter, _ *http.Request) {
	out, control := streamTo(w)
	n := 0
	h.director.Conns(func(c service.Conn) bool {
		if n++; n%1000 == 0 {
			control.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		return out.Encode(c) == nil
	})
}

// follow streams events until the client goes away or is too slow.
func (h *handler) follow(w http.ResponseWriter, r *http.Request) {
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		http.Error(w, fmt.Sprintf("%d others follow the events already", maxStreams), http.StatusServiceUnavailable)
		return
	}
	out, control := streamTo(w)
	past, next, stop := h.record.follow()
	defer stop()
	send := func(e Event) error {
		control.SetWriteDeadline(time.Now().Add(writeTimeout))
		return out.Encode(e)
	}
	for _, e := range past {
		if send(e) != nil {
			return
		}
	}
	for control.Flush() == nil {
		select {
		case e, ok := <-next:
			if !ok || send(e) != nil {
				return
			}
		case <-h.record.done:
			return
		case <-r.Context().Done():
			return
		}
	}
}
