package userspace_test

import (
	"testing"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/dataplanetest"
)

func TestSuite(t *testing.T) {
	dataplanetest.Run(t, dataplanetest.Subject{Name: "userspace", Forwards: []config.Forward{config.Masq}})
}
