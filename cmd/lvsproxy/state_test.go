package main

import "testing"

// TestStateFile: the state file lies beside the admin socket unless it is told to lie elsewhere.
func TestStateFile(t *testing.T) {
	for _, tt := range []struct{ admin, state, want string }{
		{"/run/lvsproxy.sock", "", "/run/lvsproxy.state"},
		{"/run/director", "", "/run/director.state"},
		{noAdmin, "", ""},
		{noAdmin, "/a", "/a"},
		{"/run/lvsproxy.sock", "/a", "/a"},
		{"/run/lvsproxy.sock", noState, ""},
	} {
		if got := (options{admin: tt.admin, stateFile: tt.state}).statePath(); got != tt.want {
			t.Errorf("--admin %s --state-file %s: got %q, want %q", tt.admin, tt.state, got, tt.want)
		}
	}
}
