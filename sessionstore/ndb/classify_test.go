package ndb

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/sessionstore"
)

func TestClassify(t *testing.T) {
	server := func(number uint16, message string) error {
		return fmt.Errorf("while writing: %w", &mysql.MySQLError{Number: number, Message: message})
	}
	for _, x := range []struct {
		err  error
		want class
	}{
		{server(1205, "Lock wait timeout exceeded; try restarting transaction"), rolledBack},
		{server(1213, "Deadlock found when trying to get lock; try restarting transaction"), rolledBack},
		{server(1614, "XA_RBDEADLOCK: Transaction branch was rolled back: deadlock was detected"), rolledBack},
		{server(1297, "Got temporary error 410 'REDO log files overloaded (decrease TimeBetweenLocalCheckpoints or increase NoOfFragmentLogFiles)' from NDBCLUSTER"), rolledBack},
		{server(1297, "Got temporary error 4010 'Node failure caused abort of transaction' from NDBCLUSTER"), rolledBack},
		{server(1297, "Got temporary error 1204 'Temporary failure, distribution changed' from NDBCLUSTER"), rolledBack},
		{server(1297, "Got temporary error 99999 'an error that this program does not know' from NDBCLUSTER"), rolledBack},
		{server(1297, "Got temporary error 4115 'Transaction was committed but all read information was not received due to node crash' from NDBCLUSTER"), unknown},
		{server(1297, "Got temporary error 4035 'Cluster temporary unavailable' from NDBCLUSTER"), apart},
		{server(1296, "Got error 4012 'Request ndbd time-out, maybe due to high load or communication problems' from NDBCLUSTER"), unknown},
		{server(1296, "Got error 4008 'Receive from NDB failed' from NDBCLUSTER"), unknown},
		{server(1296, "Got error 4009 'Cluster Failure' from NDBCLUSTER"), apart},
		{server(1296, "Got error 157 'Unknown error code' from NDBCLUSTER"), apart},
		{server(1030, "Got error 157 - 'Could not connect to storage engine' from storage engine"), apart},
		{server(1180, "Got error 4009 - 'Cluster Failure' during COMMIT"), apart},
		{server(1180, "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"), rolledBack},
		{server(1180, "Got error 5 - 'Input/output error' during COMMIT"), unknown},
		{server(1296, "Got error 827 'Out of memory in Ndb Kernel, table data (increase DataMemory)' from NDBCLUSTER"), full},
		{server(1296, "Got error 902 'Out of memory in Ndb Kernel, ordered index data (increase DataMemory)' from NDBCLUSTER"), full},
		{server(1296, "Got error 241 'Invalid schema object version' from NDBCLUSTER"), rolledBack},
		{server(1296, "Got error 4350 'Transaction already aborted' from NDBCLUSTER"), rolledBack},
		{server(1296, "Got error 839 'Illegal null attribute' from NDBCLUSTER"), broken},
		{server(1114, "The table 'session' is full"), full},
		{server(1036, "Table 'session' is read only"), elsewhere},
		{server(1040, "Too many connections"), elsewhere},
		{server(1146, "Table 'lvsession.session' doesn't exist"), elsewhere},
		{server(1290, "The MySQL server is running with the --read-only option so it cannot execute this statement"), elsewhere},
		{server(1053, "Server shutdown in progress"), lost},
		{server(1927, "Connection was killed"), lost},
		{server(1317, "Query execution was interrupted"), unknown},
		{server(1054, "Unknown column 'stamp' in 'field list'"), broken},
		{server(1142, "UPDATE command denied to user"), broken},
		{driver.ErrBadConn, elsewhere},
		{&commitError{server(1297, "Got temporary error 4010 'Node failure caused abort of transaction' from NDBCLUSTER")}, unknown},
		{&commitError{server(1296, "Got error 827 'Out of memory in Ndb Kernel, table data (increase DataMemory)' from NDBCLUSTER")}, full},
		{&commitError{driver.ErrBadConn}, elsewhere},
		{sql.ErrConnDone, elsewhere},
		{mysql.ErrInvalidConn, lost},
		{io.ErrUnexpectedEOF, lost},
		{os.ErrDeadlineExceeded, lost},
		{&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, lost},
		{fmt.Errorf("read: %w", errTorn), rolledBack},
		{errRace, rolledBack},
	} {
		if got := classify(x.err); got != x.want {
			t.Errorf("%v: class %d, want %d", x.err, got, x.want)
		}
	}
}

func TestIsDuplicate(t *testing.T) {
	for number, want := range map[uint16]bool{1062: true, 1586: true, 1022: true, 1205: false} {
		if got := isDuplicate(fmt.Errorf("insert: %w", &mysql.MySQLError{Number: number})); got != want {
			t.Errorf("%d: %v", number, got)
		}
	}
	if isDuplicate(errors.New("1062")) {
		t.Error("a text is a duplicate")
	}
}

// After a lost connection, "refused" may be said only where the write cannot have taken effect.
func TestRefusal(t *testing.T) {
	const ours, other = 7, 8
	at := func(version, stamp uint64) record { return record{found: true, Version: version, Stamp: stamp} }
	for _, x := range []struct {
		name      string
		uncertain bool
		r         record
		ifVersion uint64
		certain   bool
	}{
		{"nothing was lost", false, at(9, other), 3, true},
		{"still at the version", true, at(3, other), 3, true},
		{"another made the next version", true, at(4, other), 3, true},
		{"two versions later", true, at(5, other), 3, false},
		{"no row any more", true, record{}, 3, false},
		{"created by another", true, at(1, other), 0, true},
		{"created and rewritten", true, at(2, other), 0, false},
		{"last writer wins", true, at(1, other), sessionstore.AnyVersion, false},
	} {
		a := attempt{stamp: ours, uncertain: x.uncertain}
		err := a.refusal(x.r, sessionstore.Write{IfVersion: x.ifVersion}, sessionstore.ErrConflict)
		if errors.Is(err, sessionstore.ErrConflict) != x.certain || errors.Is(err, sessionstore.ErrUnavailable) == x.certain {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestChunksFor(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 0, inlineSize: 0, inlineSize + 1: 1, inlineSize + chunkSize: 1, inlineSize + chunkSize + 1: 2, sessionstore.MaxPayload: 36} {
		if got := chunksFor(n); got != want {
			t.Errorf("%d bytes: %d chunks, want %d", n, got, want)
		}
	}
}

func TestDue(t *testing.T) {
	for _, gone := range []int64{1, coarse - 1, coarse, coarse + 1, 1_700_000_000_123} {
		d := due(gone) * coarse
		if d < gone || d > gone+coarse {
			t.Errorf("gone at %d: due at %d", gone, d)
		}
	}
}

func FuzzParseDSN(f *testing.F) {
	for _, dsn := range []string{"u:p@tcp(h:1)/d", "u:hunter2/x@tcp(h)/d?timeout=1s", "/", "u:p@unix(/s)/d?interpolateParams=false&multiStatements=true"} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		cfg, err := parseDSN(dsn)
		if err != nil {
			return
		}
		if !cfg.InterpolateParams || !cfg.ClientFoundRows || cfg.MultiStatements || cfg.DBName == "" || cfg.Timeout <= 0 || cfg.ReadTimeout <= 0 || cfg.WriteTimeout <= 0 {
			t.Errorf("%q: %+v", dsn, cfg)
		}
	})
}

func TestParseDSNKeepsTimeouts(t *testing.T) {
	cfg, err := parseDSN("u:p@tcp(h:1)/d?readTimeout=9s&innodb_lock_wait_timeout=7")
	if err != nil || cfg.ReadTimeout.Seconds() != 9 || cfg.Params["innodb_lock_wait_timeout"] != "7" || cfg.Timeout != dialTimeout {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestParseDSNNeverRepeatsThePassword(t *testing.T) {
	for _, dsn := range []string{"u:hunter2", "u:hunter2@tcp(h:1)", "u:hunter2@tcp(h:1)/", "u:x/hunter2?parseTime=hunter2@tcp(h:1)/%zz", "u:p@tcp(h)/d?timeout=hunter2", "u:a@hunter2/d?tls=hunter2"} {
		if _, err := parseDSN(dsn); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}
