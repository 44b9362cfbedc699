package ndb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/ndb"
)

// A change under a lease waits for whoever has locked the row of the session or of the lease, and sees what that leaves:
// else the stale holder of a lease could win.
func TestChangeUnderALeaseLocksBothRows(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			dsns := e.database(t)
			p := &party{T: t, s: open(t, nil, dsns...)}
			db, err := ndb.OpenDB(dsns[len(dsns)-1])
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, change := range []string{"UPDATE lease SET token = token + 1 WHERE id = ?", "UPDATE session SET ver = ver + 1 WHERE id = ?"} {
				for _, together := range []bool{false, true} {
					key, token := p.leased()
					w := &sessionstore.Write{Idle: time.Hour, IfVersion: 1, Token: token, Release: true}
					tx, err := db.BeginTx(t.Context(), nil)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := tx.ExecContext(t.Context(), change, key[:]); err != nil {
						t.Fatal(err)
					}
					wrote := make(chan error, 1)
					go func() {
						if together {
							other, token := p.leased()
							second := *w
							second.Token = token
							wrote <- ndb.Together(p.s, []ndb.Change{{Key: key, Write: w}, {Key: other, Write: &second}})[0].Err
							return
						}
						_, err := p.s.Write(t.Context(), key, *w)
						wrote <- err
					}()
					select {
					case err := <-wrote:
						t.Errorf("%s, together %v: the write did not wait: %v", change, together, err)
					case <-time.After(200 * time.Millisecond): // if it has not come to wait by now, it need not
					}
					if err := tx.Commit(); err != nil {
						t.Fatal(err)
					}
					if err := <-wrote; !errors.Is(err, sessionstore.ErrConflict) {
						t.Errorf("%s, together %v: %v", change, together, err)
					}
				}
			}
		})
	}
}
