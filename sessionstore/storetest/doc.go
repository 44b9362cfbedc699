// Package storetest is the suite that every [sessionstore.Store] must pass. [Run] drives one store through each promise
// of the contract; [RunShared] drives several handles on the same data, as several sessionds have them.
//
// After each test the suite checks more than the test said: that no read ever returned a payload nobody wrote under that
// version, that the store's own records are in order ([sessionstore.Checker]), and that GC leaves nothing behind once
// everything is over.
package storetest
