package config

import (
	"os"
	"strings"
	"testing"
)

// TestDocumented: the operator's page names every directive that the parser knows.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operator.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []map[string]directive{outside, inside, {"virtual": nil, "virtual6": nil}} {
		for name := range known {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/operator.md does not explain %s", name)
			}
		}
	}
}

// TestExample: the example in deploy is good, and says nothing that is not acted on.
func TestExample(t *testing.T) {
	f, err := Load("../../deploy/lvsproxy/ldirectord.cf", names{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Unsupported(userspace); err != nil || f.Warnings != nil {
		t.Errorf("got %v, %v", err, f.Warnings)
	}
}
