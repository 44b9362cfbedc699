package storetest

import (
	"strconv"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// ability returns an optional interface of the store under test, which must have it.
func ability[T any](f *fixture) T {
	f.Helper()
	x, ok := f.bare.(T)
	if !ok {
		f.Fatalf("%T is no %T", f.bare, *new(T))
	}
	return x
}

// walk goes through all pages and returns what it came by; a session twice is an error, as nothing changes meanwhile.
func (f *fixture) walk(w sessionstore.Walk) map[sessionstore.Key]sessionstore.Session {
	f.Helper()
	seen := map[sessionstore.Key]sessionstore.Session{}
	for pages := 0; ; pages++ {
		page, err := ability[sessionstore.Walker](f).Walk(f.ctx, w)
		f.want("walk", err, nil)
		if len(page.Sessions) > w.Limit {
			f.Fatalf("a page of %d sessions, the limit was %d", len(page.Sessions), w.Limit)
		}
		for _, s := range page.Sessions {
			if _, twice := seen[s.Key]; twice {
				f.Fatalf("%v came twice", s.Key)
			}
			seen[s.Key] = s
		}
		if page.Next == "" {
			return seen
		}
		if w.After = page.Next; pages > 1000 {
			f.Fatal("a walk without end")
		}
	}
}

// put writes a session of a namespace and a subject, each of which may be none.
func (f *fixture) put(payload, namespace string, subject sessionstore.Key) sessionstore.Key {
	f.Helper()
	key := newKey()
	_, err := f.store.Write(f.ctx, key, sessionstore.Write{Payload: []byte(payload), Idle: idle, Namespace: namespace, Subject: subject})
	f.want("write", err, nil)
	return key
}

var walking = []test{
	{"WalkShowsWhatLives", func(f *fixture) {
		want := map[sessionstore.Key]string{}
		for i := range 23 {
			payload := noise(i * 40)
			want[f.create(payload)] = payload
		}
		large := noise(100_000)
		want[f.create(large)] = large
		f.want("touch", f.store.Touch(f.ctx, f.create("expired"), sessionstore.Touch{Idle: time.Millisecond}), nil)
		f.clock.advance(time.Millisecond)
		f.destroy(f.create("destroyed"))
		want[f.regenerate(f.create("moved"))] = "moved"
		f.lock(newKey())
		for _, limit := range []int{1, 7, sessionstore.MaxPage} {
			for _, payload := range []bool{false, true} {
				got := f.walk(sessionstore.Walk{Limit: limit, Payload: payload})
				if len(got) != len(want) {
					f.Fatalf("pages of %d: %d sessions, want %d", limit, len(got), len(want))
				}
				for key, text := range want {
					s := f.read(key, text)
					if !payload {
						s.Payload = nil
					}
					if !equal(got[key], s) {
						f.Fatalf("walked by %+v, read %+v", got[key], s)
					}
				}
			}
		}
	}},

	{"WalkByNamespaceAndSubject", func(f *fixture) {
		alice, bob := sessionstore.NewSubject("shop", "alice"), sessionstore.NewSubject("shop", "bob")
		count := map[string]int{}
		for i := range 30 {
			namespace := []string{"shop", "api", ""}[i%3]
			subject := []sessionstore.Key{{}, alice, bob}[i/3%3]
			f.put("x", namespace, subject)
			count[namespace]++
			count[subject.String()]++
			count[namespace+" "+subject.String()]++
		}
		for _, limit := range []int{2, 100} {
			for _, subject := range []sessionstore.Key{{}, alice, bob} {
				for _, namespace := range []string{"shop", "api"} {
					got := f.walk(sessionstore.Walk{Limit: limit, Namespace: namespace, Subject: subject})
					want := count[namespace+" "+subject.String()]
					if subject == (sessionstore.Key{}) {
						want = count[namespace]
					}
					if len(got) != want {
						f.Fatalf("%d sessions in %s of %v, want %d", len(got), namespace, subject, want)
					}
				}
			}
			if got := f.walk(sessionstore.Walk{Limit: limit, Subject: alice}); len(got) != count[alice.String()] {
				f.Fatalf("%d sessions of alice, want %d", len(got), count[alice.String()])
			}
		}
		if got := f.walk(sessionstore.Walk{Limit: 5, Subject: sessionstore.NewSubject("shop", "nobody")}); len(got) != 0 {
			f.Fatalf("%d sessions of nobody", len(got))
		}
	}},

	{"WalkFollowsTheSubject", func(f *fixture) {
		alice, bob := sessionstore.NewSubject("shop", "alice"), sessionstore.NewSubject("shop", "bob")
		key := f.put("x", "shop", alice)
		_, err := f.store.Write(f.ctx, key, sessionstore.Write{Idle: idle, IfVersion: 1, Subject: bob})
		f.want("write", err, nil)
		f.write(key, "kept", 2)
		next := f.regenerate(key)
		if got := f.walk(sessionstore.Walk{Limit: 5, Subject: alice}); len(got) != 0 {
			f.Fatalf("alice still has %v", got)
		}
		got := f.walk(sessionstore.Walk{Limit: 5, Subject: bob, Payload: true})
		if len(got) != 1 || string(got[next].Payload) != "kept" {
			f.Fatalf("bob has %v", got)
		}
		f.destroy(key)
		if got := f.walk(sessionstore.Walk{Limit: 5, Subject: bob}); len(got) != 0 {
			f.Fatalf("bob still has %v", got)
		}
	}},

	{"WalkWhileThingsChange", func(f *fixture) {
		stay := map[sessionstore.Key]bool{}
		for i := range 40 {
			stay[f.create(strconv.Itoa(i))] = true
		}
		w := sessionstore.Walk{Limit: 4}
		for gone := newKey(); ; {
			page, err := ability[sessionstore.Walker](f).Walk(f.ctx, w)
			f.want("walk", err, nil)
			for _, s := range page.Sessions {
				delete(stay, s.Key)
			}
			if w.After = page.Next; w.After == "" {
				break
			}
			f.destroy(gone)
			gone = f.create("short-lived")
			for key := range stay {
				f.clock.advance(time.Millisecond)
				f.want("touch", f.store.Touch(f.ctx, key, sessionstore.Touch{Idle: idle}), nil)
				break
			}
		}
		if len(stay) != 0 {
			f.Fatalf("the walk missed %d of 40", len(stay))
		}
	}},

	{"WalkInBoundedPages", func(f *fixture) {
		const each = 900_000
		want := map[sessionstore.Key]bool{}
		for range 7 {
			want[f.create(noise(each))] = true
		}
		w := sessionstore.Walk{Limit: sessionstore.MaxPage, Payload: true}
		for pages := 1; ; pages++ {
			page, err := ability[sessionstore.Walker](f).Walk(f.ctx, w)
			f.want("walk", err, nil)
			size := 0
			for _, s := range page.Sessions {
				size += len(s.Payload)
				delete(want, s.Key)
			}
			if size > sessionstore.MaxPageBytes {
				f.Fatalf("a page of %d bytes", size)
			}
			if w.After = page.Next; w.After == "" {
				if len(want) != 0 || pages < 2 {
					f.Fatalf("%d missing after %d pages", len(want), pages)
				}
				return
			}
		}
	}},

	{"WalkOutOfRange", func(f *fixture) {
		for _, w := range []sessionstore.Walk{{}, {Limit: -1}, {Limit: sessionstore.MaxPage + 1}, {Limit: 1, After: "x"}} {
			_, err := ability[sessionstore.Walker](f).Walk(f.ctx, w)
			f.want("walk", err, sessionstore.ErrInvalid)
		}
	}},
}

// equal compares all of two sessions.
func equal(a, b sessionstore.Session) bool {
	return a.Key == b.Key && string(a.Payload) == string(b.Payload) && a.Version == b.Version && a.Created.Equal(b.Created) &&
		a.Expires.Equal(b.Expires) && a.Deadline.Equal(b.Deadline) && a.Namespace == b.Namespace && a.Subject == b.Subject && a.Encoding == b.Encoding
}

var subjects = []test{
	{"DestroySubject", func(f *fixture) {
		alice, bob := sessionstore.NewSubject("shop", "alice"), sessionstore.NewSubject("shop", "bob")
		var hers []sessionstore.Key
		for i := range 150 {
			hers = append(hers, f.put(noise(i%3*40_000/2), "shop", alice))
		}
		old := f.put("moved", "shop", alice)
		hers = append(hers, f.regenerate(old))
		his, nobodys := f.put("x", "shop", bob), f.put("x", "shop", sessionstore.Key{})
		f.want("touch", f.store.Touch(f.ctx, f.put("expired", "shop", alice), sessionstore.Touch{Idle: time.Millisecond}), nil)
		f.clock.advance(time.Millisecond)
		n, err := ability[sessionstore.SubjectStore](f).DestroySubject(f.ctx, alice, grave)
		f.want("destroy subject", err, nil)
		if n != len(hers) {
			f.Fatalf("destroyed %d, want %d", n, len(hers))
		}
		for _, key := range hers[:3] {
			dead(f, key)
		}
		for _, key := range hers {
			f.missing(key)
		}
		dead(f, old)
		f.read(his, "x")
		f.read(nobodys, "x")
		if n, err = ability[sessionstore.SubjectStore](f).DestroySubject(f.ctx, alice, grave); n != 0 || err != nil {
			f.Fatalf("again: %d, %v", n, err)
		}
	}},

	{"DestroySubjectOutOfRange", func(f *fixture) {
		key := f.create("nobody's")
		_, err := ability[sessionstore.SubjectStore](f).DestroySubject(f.ctx, sessionstore.Key{}, grave)
		f.want("destroy subject", err, sessionstore.ErrInvalid)
		_, err = ability[sessionstore.SubjectStore](f).DestroySubject(f.ctx, newKey(), 0)
		f.want("destroy subject", err, sessionstore.ErrInvalid)
		f.read(key, "nobody's")
	}},
}
