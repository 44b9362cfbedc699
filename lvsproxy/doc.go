// Package lvsproxy is the director: it takes the connections of the virtual services of an ldirectord.cf, checks the
// health of the real servers behind them, and spreads the connections over those that are alive.
//
// A [Director] is the control plane. It owns the table (package service), the checks (package check) and a dataplane
// that carries the connections (package dataplane/userspace unless told otherwise). Program cmd/lvsproxy is one
// Director with a configuration file and signals; another program can hold one in process:
//
//	file, err := config.Parse("built-in", []byte(text), config.SystemResolver{})
//	…
//	d, err := lvsproxy.New(file, lvsproxy.Options{})
//	…
//	go d.Run(ctx)
//	<-d.Ready()
package lvsproxy
