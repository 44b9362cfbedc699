package load

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConfigCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string // part of the error; empty for none
	}{
		{"defaults", func(*Config) {}, ""},
		{"weights", func(c *Config) { c.Weights = map[string]int{"a": 1, "b": 0} }, ""},
		{"no URL", func(c *Config) { c.URL = "" }, "http://"},
		{"ftp", func(c *Config) { c.URL = "ftp://127.0.0.1/" }, "http://"},
		{"no host", func(c *Config) { c.URL = "http:///x" }, "no host"},
		{"password", func(c *Config) { c.URL = "http://a:b@127.0.0.1/" }, "user and password"},
		{"own user", func(c *Config) { c.URL = "http://127.0.0.1/?user=x" }, "query parameter user"},
		{"bad URL", func(c *Config) { c.URL = "http://127.0.0.1:x/" }, "port"},
		{"users", func(c *Config) { c.Users = -1 }, "users"},
		{"too many users", func(c *Config) { c.Users = MaxUsers + 1 }, "users"},
		{"requests", func(c *Config) { c.Requests = -1 }, "requests"},
		{"too many requests", func(c *Config) { c.Requests = MaxRequests }, "requests"},
		{"rate", func(c *Config) { c.Rate = -1 }, "rate"},
		{"no rate", func(c *Config) { c.Rate = math.NaN() }, "rate"},
		{"endless rate", func(c *Config) { c.Rate = math.Inf(1) }, "rate"},
		{"crawling rate", func(c *Config) { c.Rate = 1e-9 }, "rate"},
		{"concurrency", func(c *Config) { c.Concurrency = -1 }, "concurrency"},
		{"timeout", func(c *Config) { c.Timeout = time.Microsecond }, "timeout"},
		{"duration", func(c *Config) { c.Duration = -1 }, "duration"},
		{"retries", func(c *Config) { c.Retries = 101 }, "retries"},
		{"prefix", func(c *Config) { c.UserPrefix = "a b" }, "prefix"},
		{"weight", func(c *Config) { c.Weights = map[string]int{"a": -1} }, "weight"},
		{"no weight", func(c *Config) { c.Weights = map[string]int{"a": 0} }, "weights"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{URL: "http://127.0.0.1/count"}.Defaults()
			tt.change(&c)
			err := c.Check()
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A scenario's configuration is the same after it was written as JSON and read again.
func TestScenarioJSON(t *testing.T) {
	c := Config{URL: "http://127.0.0.1/"}
	for _, s := range [][2]string{
		{"think", "90%1s,10%~2s"}, {"visits", "~20"}, {"payload", "500-8k"}, {"parallel", "1-4"}, {"mix", "visit=1,read=2"}, {"abandon", "30%"},
	} {
		if err := c.Set(s[0], s[1]); err != nil {
			t.Fatal(err)
		}
	}
	c = c.Defaults()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("%v: %s\n%+v\n%+v", err, b, c, back)
	}
}

func TestConfigJSON(t *testing.T) {
	c := Config{URL: "http://127.0.0.1/", Timeout: 1500 * time.Microsecond, Duration: time.Minute, Weights: map[string]int{"a": 2}}.Defaults()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("%+v became %s and then %+v (%v)", c, b, back, err)
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Millisecond: "1", 1500 * time.Microsecond: "1.5", 1499 * time.Nanosecond: "0.001", time.Hour: "3600000",
	} {
		b, err := json.Marshal(Millis(d))
		if err != nil || string(b) != want {
			t.Errorf("%v is %s (%v), want %s", d, b, err, want)
		}
	}
	var m Millis
	if err := json.Unmarshal([]byte(`"1"`), &m); err == nil {
		t.Error("a string was accepted")
	}
}
