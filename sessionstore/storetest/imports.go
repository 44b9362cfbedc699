package storetest

import (
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

func (f *fixture) take(s sessionstore.Session, replace bool) error {
	f.Helper()
	return ability[sessionstore.Importer](f).Import(f.ctx, s, replace)
}

// foreign returns a session as another store may have had it.
func (f *fixture) foreign(payload string) sessionstore.Session {
	now := f.clock.now()
	return sessionstore.Session{
		Key: newKey(), Payload: []byte(payload), Version: 7, Created: now.Add(-time.Hour), Expires: now.Add(idle), Deadline: now.Add(2 * time.Hour),
		Namespace: "shop", Subject: sessionstore.NewSubject("shop", "alice"), Encoding: sessionstore.Zstd,
	}
}

var imports = []test{
	{"ImportKeepsEverything", func(f *fixture) {
		for _, size := range []int{0, 100, 29_001, 200_000} {
			want := f.foreign(noise(size))
			if size == 100 {
				want.Deadline, want.Subject, want.Namespace, want.Encoding = time.Time{}, sessionstore.Key{}, "", sessionstore.Plain
			}
			f.want("import", f.take(want, false), nil)
			if got := f.read(want.Key, noise(size)); !equal(got, want) {
				f.Fatalf("imported %+v, read %+v", want, got)
			}
			if v := f.write(want.Key, "next", 7); v != 8 {
				f.Fatalf("the version after 7 is %d", v)
			}
		}
	}},

	{"ImportNeverGoesBack", func(f *fixture) {
		s := f.foreign("imported")
		f.want("import", f.take(s, false), nil)
		s.Payload = []byte("another")
		f.want("import onto a session", f.take(s, false), sessionstore.ErrConflict)
		f.want("import of the same version", f.take(s, true), sessionstore.ErrConflict)
		s.Version--
		f.want("import of an older version", f.take(s, true), sessionstore.ErrConflict)
		s.Version += 2
		f.want("import of a newer version", f.take(s, false), sessionstore.ErrConflict)
		f.read(s.Key, "imported")
		f.want("import of a newer version to replace", f.take(s, true), nil)
		f.read(s.Key, "another")
		f.clock.advance(idle)
		s.Expires = f.clock.now().Add(idle)
		f.want("import onto remains of that version", f.take(s, true), sessionstore.ErrConflict)
		f.missing(s.Key)
		s.Version++
		f.want("import onto remains", f.take(s, false), nil)
		f.read(s.Key, "another")
	}},

	{"ImportResurrectsNothing", func(f *fixture) {
		s := f.foreign("old copy")
		s.Key = f.create("logged in")
		f.destroy(s.Key)
		for _, replace := range []bool{false, true} {
			f.want("import onto a tombstone", f.take(s, replace), sessionstore.ErrDestroyed)
		}
		dead(f, s.Key)
		old := f.create("moved")
		next := f.regenerate(old)
		s.Key = old
		f.want("import onto an alias", f.take(s, true), sessionstore.ErrConflict)
		f.read(next, "moved")
		s = f.foreign("expired")
		s.Expires = f.clock.now()
		f.want("import of an expired session", f.take(s, true), sessionstore.ErrNotFound)
		f.missing(s.Key)
	}},

	{"ImportLeavesTheLease", func(f *fixture) {
		s := f.foreign("x")
		l := f.lock(s.Key)
		f.want("import", f.take(s, false), nil)
		f.want("write", writeUnder(f, s.Key, l.Token), nil)
	}},

	{"ImportIsFoundByItsSubject", func(f *fixture) {
		s := f.foreign("x")
		f.want("import", f.take(s, false), nil)
		if got := f.walk(sessionstore.Walk{Limit: 5, Subject: s.Subject, Payload: true}); !equal(got[s.Key], s) {
			f.Fatalf("found %+v", got)
		}
		s.Version, s.Subject = 9, sessionstore.NewSubject("shop", "bob")
		f.want("import", f.take(s, true), nil)
		if got := f.walk(sessionstore.Walk{Limit: 5, Subject: sessionstore.NewSubject("shop", "alice")}); len(got) != 0 {
			f.Fatalf("alice still has %+v", got)
		}
	}},

	{"ImportOfWhatCannotBe", func(f *fixture) {
		for what, spoil := range map[string]func(*sessionstore.Session){
			"no key":        func(s *sessionstore.Session) { s.Key = sessionstore.Key{} },
			"no version":    func(s *sessionstore.Session) { s.Version = 0 },
			"any version":   func(s *sessionstore.Session) { s.Version = sessionstore.AnyVersion },
			"no creation":   func(s *sessionstore.Session) { s.Created = time.Time{} },
			"no expiry":     func(s *sessionstore.Session) { s.Expires = time.Time{} },
			"late deadline": func(s *sessionstore.Session) { s.Deadline = s.Expires.Add(-time.Second) },
			"namespace":     func(s *sessionstore.Session) { s.Namespace = "A B" },
		} {
			s := f.foreign("x")
			spoil(&s)
			f.want("import: "+what, f.take(s, true), sessionstore.ErrInvalid)
		}
		s := f.foreign(noise(sessionstore.MaxPayload + 1))
		f.want("import of a large payload", f.take(s, true), sessionstore.ErrTooLarge)
		f.missing(s.Key)
	}},
}
