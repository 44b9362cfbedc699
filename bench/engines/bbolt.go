package main

import (
	"errors"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

var boltBucket = []byte("sessions")

type bboltEngine struct{ db *bolt.DB }

// openBbolt opens with the map freelist that bbolt recommends for large files, and without writing the freelist at
// each commit: both are in its favour here.
func openBbolt(dir string, _ int64) (engine, error) {
	db, err := bolt.Open(filepath.Join(dir, "db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
	return &bboltEngine{db}, err
}

func (e *bboltEngine) get(buf, key []byte) ([]byte, error) {
	err := e.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(boltBucket).Get(key)
		if v == nil {
			return errors.New("no such key")
		}
		buf = append(buf, v...)
		return nil
	})
	return buf, err
}

func (e *bboltEngine) commit(changes []change) error {
	return e.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(boltBucket)
		for _, c := range changes {
			var err error
			if c.value == nil {
				err = b.Delete(c.key)
			} else {
				err = b.Put(c.key, c.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *bboltEngine) close() error { return e.db.Close() }
