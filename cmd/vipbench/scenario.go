package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/lvsession/lvsession/bench/load"
)

// secretVariable is the environment's variable with the secret of a session server.
const secretVariable = "VIPBENCH_SECRET"

// scenario is what the command line says of the load: a file, and settings that come on top of it.
type scenario struct {
	file     string
	settings [][2]string // name and value, as given
}

// flags adds an option for each of [load.Settings], and --scenario.
func (s *scenario) flags(f *flag.FlagSet) {
	f.StringVar(&s.file, "scenario", "", "read the `FILE` with settings, one a line")
	for _, l := range load.Settings {
		add := func(value string) error {
			s.settings = append(s.settings, [2]string{l.Name, value})
			return new(load.Config).Set(l.Name, value)
		}
		help := l.Help
		if l.Default != "" {
			help += " (default: " + l.Default + ")"
		}
		if l.Value == "" {
			f.BoolFunc(l.Name, help, add)
			continue
		}
		f.Func(l.Name, "`"+l.Value+"` "+help, add)
	}
}

// config is the load's configuration, with its defaults and checked. args are what follows the options.
func (s *scenario) config(args []string) (load.Config, error) {
	c, err := s.read()
	if err != nil {
		return load.Config{}, err
	}
	for _, l := range s.settings {
		if err := c.Set(l[0], l[1]); err != nil {
			return load.Config{}, err
		}
	}
	if len(args) > 1 || len(args) == 0 && c.URL == "" {
		return load.Config{}, fmt.Errorf("one URL is needed, got %d arguments after the options", len(args))
	}
	if len(args) == 1 {
		c.URL = args[0]
	}
	if c.Target() == load.Sessiond || c.Target() == load.Redis {
		c.Secret = os.Getenv(secretVariable)
	}
	c = c.Defaults()
	return c, c.Check()
}

func (s *scenario) read() (load.Config, error) {
	if s.file == "" {
		return load.Config{}, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return load.Config{}, err
	}
	c, err := load.ReadScenario(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return load.Config{}, fmt.Errorf("%s: %w", s.file, err)
	}
	return c, nil
}
