package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"10.2.0.1":                    "10.2.0.1:0",
		"10.2.0.255-10.2.1.1":         "10.2.0.255:0 10.2.1.0:0 10.2.1.1:0",
		"10.2.0.1:80":                 "10.2.0.1:80",
		"10.2.0.1-10.2.0.2:8000-8001": "10.2.0.1:8000 10.2.0.1:8001 10.2.0.2:8000 10.2.0.2:8001",
		"fd00:2::ffff-fd00:2::1:0":    "[fd00:2::ffff]:0 [fd00:2::1:0]:0",
		"[fd00:2::1]:80-81":           "[fd00:2::1]:80 [fd00:2::1]:81",
	} {
		got, err := addresses(text)
		if err != nil || strings.Trim(fmt.Sprint(got), "[]") != strings.Trim(want, "[]") {
			t.Errorf("%s: got %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10.2.0", "10.2.0.1-x", "10.2.0.1:x", "10.2.0.1:1-x", "10.2.0.1:65536"} {
		if got, err := addresses(text); err == nil {
			t.Errorf("%q gave %v", text, got)
		}
	}
}

func TestSteady(t *testing.T) {
	const heading = "IPVS connection entries\npro expire state\n"
	if got, want := steady(heading+"UDP 04:59 b\nTCP 14:59 a\n"), heading+"TCP mm:ss a\nUDP mm:ss b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, same := range []string{"", heading, "TCP 10:00 is no connection here\nA\n"} {
		if got := steady(same); got != same {
			t.Errorf("%q became %q", same, got)
		}
	}
}
