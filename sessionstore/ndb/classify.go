package ndb

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"regexp"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/sessionstore/ndb/internal/api"
)

// class is what an error of a statement or a commit means for the transaction it belongs to.
type class uint8

const (
	// broken: it makes no sense to try again: a privilege, a bug, a schema that does not fit.
	broken class = iota
	// rolledBack: the transaction had no effect, and may well succeed when repeated.
	rolledBack
	// elsewhere: it had no effect, and this SQL node cannot serve now; another may.
	elsewhere
	// lost: the connection broke. Whether it had an effect is unknown; the SQL node may be gone.
	lost
	// unknown: whether it had an effect is unknown; the SQL node is fine.
	unknown
	// apart: whether it had an effect is unknown; the SQL node lost its data nodes.
	apart
	// full: it had no effect, because memory or disk is full. Trying again makes it worse.
	full
)

// uncertain tells whether the transaction may have taken effect.
func (c class) uncertain() bool { return c == lost || c == unknown || c == apart }

// suspect tells whether the SQL node should get no more work until it proves healthy.
func (c class) suspect() bool { return c == elsewhere || c == lost || c == apart }

// commitError is the error of a COMMIT.
type commitError struct{ cause error }

func (e *commitError) Error() string { return "commit: " + e.cause.Error() }
func (e *commitError) Unwrap() error { return e.cause }

// classify tells what the error of a statement means. Errors of connecting are not its business: they are elsewhere.
func classify(err error) class {
	var server *mysql.MySQLError
	var commit *commitError
	var data *api.Error
	switch {
	case errors.As(err, &data):
		return classifyAPI(data)
	case errors.As(err, &commit):
		// What passes for rolled back while data nodes fail may have been committed by the one that takes over.
		if c := classify(commit.cause); c != rolledBack || isAborted(commit.cause) {
			return c
		}
		return unknown
	case errors.As(err, &server):
		return classifyServer(server)
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return elsewhere // the driver promises that nothing was sent
	case errors.Is(err, errTorn), errors.Is(err, errRace):
		return rolledBack
	case errors.Is(err, errBug):
		return broken
	default:
		return lost // of the network: reset, EOF, time-out, and the driver's own words for them
	}
}

// serverErrors maps the server's error numbers. Sources: MySQL 9.7's messages_to_clients.txt, MariaDB 10.11's
// errmsg-utf8.txt; numbers from 1900 to 1999 and 4000 are MariaDB's.
var serverErrors = map[uint16]class{
	1205: rolledBack, // lock wait timeout
	1213: rolledBack, // deadlock
	1020: rolledBack, // record has changed since last read
	1412: rolledBack, // table definition has changed
	1206: rolledBack, // lock table is full
	1613: rolledBack, // XA: took too long
	1614: rolledBack, // XA: deadlock
	1637: rolledBack, // too many active transactions
	3572: rolledBack, // lock not available

	1036: elsewhere, // table is read only: an SQL node that has not joined the cluster yet
	1040: elsewhere, // too many connections
	1044: elsewhere, // access denied to the database
	1045: elsewhere, // access denied
	1049: elsewhere, // unknown database
	1129: elsewhere, // host is blocked
	1130: elsewhere, // host is not allowed
	1146: elsewhere, // no such table
	1203: elsewhere, // too many connections of this user
	1226: elsewhere, // user exceeded a resource
	1286: elsewhere, // unknown storage engine
	1290: elsewhere, // --read-only
	1792: elsewhere, // read-only transaction
	1836: elsewhere, // read-only mode
	3168: elsewhere, // server is not available

	1053: lost, // shutdown in progress
	1152: lost, // aborted connection
	1158: lost, // error reading packets
	1159: lost, // time-out reading packets
	1160: lost, // error writing packets
	1161: lost, // time-out writing packets
	1927: lost, // MariaDB: connection was killed
	3169: lost, // session was killed
	4031: lost, // disconnected for inactivity

	1028: unknown, // sort aborted
	1180: unknown, // error during COMMIT
	1317: unknown, // query was interrupted
	1969: unknown, // MariaDB: maximum statement time exceeded
	3024: unknown, // maximum execution time exceeded

	1021: full, // disk full
	1037: full, // out of memory
	1038: full, // out of sort memory
	1041: full, // out of memory
	1114: full, // the table is full
	1135: full, // cannot create a thread
}

// ndbErrors maps errors of the data nodes, where their class is not that of the server's number. Source:
// storage/ndb/src/ndbapi/ndberror.cpp, whose classification each follows.
var ndbErrors = map[int]class{
	// Unknown result, and what was committed but could not be told.
	4008: unknown, 4012: unknown, 4115: unknown, 4002: unknown, 4007: unknown, 4013: unknown, 4033: unknown,
	// No data node is in reach of the SQL node. 157 is the handler's word for 4009.
	4009: apart, 157: apart, 4035: apart,
	281: elsewhere, // cluster shutdown
	299: elsewhere, // single user mode
	// Insufficient space.
	623: full, 624: full, 625: full, 633: full, 640: full, 826: full, 827: full, 889: full, 902: full, 903: full, 904: full,
	905: full, 908: full, 1601: full, 1602: full, 1603: full, 1604: full, 1605: full, 1606: full, 747: full,
	135: full, 136: full, // the handler's words for them
	// Overload, lack of a temporary resource, lock time-outs, and a schema that changes: it passes.
	410: rolledBack, 1220: rolledBack, 1221: rolledBack, 1234: rolledBack, 266: rolledBack, 274: rolledBack, 296: rolledBack,
	297: rolledBack, 237: rolledBack, 241: rolledBack, 283: rolledBack, 284: rolledBack, 709: rolledBack, 723: rolledBack,
	1226: rolledBack, 4350: rolledBack, 146: rolledBack, 149: rolledBack, 159: rolledBack,
}

// Numbers under which the server passes on an error of the storage engine, with the engine's number in the text.
const (
	errGetErrno     = 1030 // Got error %d - '%s' from storage engine
	errDuringCommit = 1180 // Got error %d - '%s' during COMMIT
	errGet          = 1296 // Got error %d '%s' from %s
	errGetTemporary = 1297 // Got temporary error %d '%s' from %s
)

var engineError = regexp.MustCompile(`error (\d+)\b`)

func classifyServer(e *mysql.MySQLError) class {
	if e.Number == errGetErrno || e.Number == errDuringCommit || e.Number == errGet || e.Number == errGetTemporary {
		if m := engineError.FindStringSubmatch(e.Message); m != nil {
			code, _ := strconv.Atoi(m[1])
			if c, ok := ndbErrors[code]; ok {
				return c
			}
		}
		if e.Number == errGetTemporary {
			return rolledBack
		}
	}
	return serverErrors[e.Number]
}

// isAborted tells whether a commit that passes for rolled back surely is: a data node said why.
func isAborted(err error) bool {
	var e *api.Error
	if errors.Is(err, errRace) {
		return true
	}
	return errors.As(err, &e) && ndbErrors[e.Code] == rolledBack
}

// classifyAPI tells what an error of the NDB API means. Its status is worth more than the server's number in its place: what
// is temporary had no effect, what is of unknown result may have had.
func classifyAPI(e *api.Error) class {
	if c, ok := ndbErrors[e.Code]; ok && (c == full || c == elsewhere) {
		return c
	}
	if e.Code == api.Duplicate || e.Code == api.NoRow {
		return rolledBack // the row came or went since the transaction looked
	}
	switch e.Status {
	case api.Unknown:
		return unknown
	case api.Temporary:
		return rolledBack
	}
	if c, ok := ndbErrors[e.Code]; ok {
		return c
	}
	return broken
}

const (
	errDuplicate     = 1062 // duplicate entry
	errDuplicateName = 1586 // duplicate entry, with the key's name
	errDuplicateOld  = 1022 // can't write; duplicate key in table
)

// isDuplicate tells whether an INSERT found that there is a row already.
func isDuplicate(err error) bool {
	if api.Is(err, api.Duplicate) {
		return true
	}
	var e *mysql.MySQLError
	return errors.As(err, &e) && (e.Number == errDuplicate || e.Number == errDuplicateName || e.Number == errDuplicateOld)
}

var (
	// errRace says that someone else changed the row between two statements; the transaction must begin again.
	errRace = errors.New("the row changed meanwhile")
	// errBug says that the tables hold what no program of ours writes.
	errBug = errors.New("unexpected content")
)
