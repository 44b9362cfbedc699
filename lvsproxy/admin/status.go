package admin

import (
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Status is what a director knows about its services.
type Status struct {
	// Ready tells that every service is open and every real server has been checked.
	Ready    bool            `json:"ready"`
	Services []ServiceStatus `json:"services"`
}

// ServiceStatus is a virtual service with all its servers, whether they are in the table or not.
type ServiceStatus struct {
	Virtual   string `json:"virtual"`
	Scheduler string `json:"scheduler"`
	// Dataplane carries the service, and DataplaneWhy says why that one; both are empty where there is only one.
	Dataplane    string `json:"dataplane,omitempty"`
	DataplaneWhy string `json:"dataplane_why,omitempty"`
	// Up is how many real servers may get new connections: they are alive and have a weight.
	Up int `json:"up"`
	// Fallback tells that the fallback server stands in.
	Fallback bool            `json:"fallback"`
	Origin   service.Origin  `json:"origin"`
	Servers  []ServerStatus  `json:"servers"`
	Rates    service.Rates   `json:"rates"`
	Conns    uint64          `json:"conns"`
	Traffic  service.Traffic `json:"traffic"`
}

// ServerStatus is a real or fallback server.
type ServerStatus struct {
	// Listed tells that the server is in the table.
	Listed bool `json:"listed"`
	// Since is when its checks last changed its state; zero if they never did.
	Since time.Time `json:"since,omitzero"`
	// Check is the last check; nil if there was none.
	Check *CheckStatus `json:"check,omitempty"`
	service.ServerSnapshot
}

func statusOf(d Director, rec *Record) Status {
	status := Status{Ready: isReady(d), Services: []ServiceStatus{}}
	table := d.Table()
	known := rec.known(table)
	for _, v := range table {
		server := func(listed bool, r service.ServerSnapshot) ServerStatus {
			k := known[serverKey{v.ID, r.Addr}]
			return ServerStatus{listed, k.since, k.check, r}
		}
		s := ServiceStatus{
			Virtual: v.ID.Name(), Scheduler: v.Scheduler, Origin: v.Origin, Servers: []ServerStatus{},
			Rates: v.Rates, Conns: v.Conns, Traffic: v.Traffic, Dataplane: v.Dataplane, DataplaneWhy: v.DataplaneWhy,
		}
		s.Up, s.Fallback = usable(&v), standsIn(&v)
		for _, r := range v.Servers {
			s.Servers = append(s.Servers, server(true, r))
		}
		for _, r := range v.Out {
			s.Servers = append(s.Servers, server(false, r))
		}
		status.Services = append(status.Services, s)
	}
	return status
}

// usable returns how many real servers of a service may get new connections.
func usable(v *service.Snapshot) (n int) {
	for _, r := range v.Servers {
		if !r.Fallback && r.Weight > 0 && r.State == check.Up {
			n++
		}
	}
	return n
}

// standsIn reports whether the fallback server of a service is in the table.
func standsIn(v *service.Snapshot) bool {
	return slices.ContainsFunc(v.Servers, func(r service.ServerSnapshot) bool { return r.Fallback })
}
