package phpsession_test

import (
	"fmt"
	"log"

	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// A Go page adds to the cart of a session that a PHP page began, and leaves the rest as it is.
func Example() {
	payload := []byte(`user|O:4:"User":1:{s:4:"name";s:4:"anna";}cart|a:1:{i:17;i:2;}`)

	values, err := phpsession.Decode(phpsession.PHP, payload)
	if err != nil {
		log.Fatal(err)
	}
	user, _ := values.GetString("user", "name")
	n, _ := values.GetInt("cart", "17")
	if err := values.Set(n+1, "cart", "17"); err != nil {
		log.Fatal(err)
	}
	if payload, err = phpsession.Encode(phpsession.PHP, values); err != nil {
		log.Fatal(err)
	}
	fmt.Println(user)
	fmt.Printf("%s\n", payload)
	// Output:
	// anna
	// user|O:4:"User":1:{s:4:"name";s:4:"anna";}cart|a:1:{i:17;i:3;}
}

func ExampleAs() {
	values, err := phpsession.Decode(phpsession.PHP, []byte(`user|a:2:{s:4:"name";s:4:"anna";s:5:"roles";a:1:{i:0;s:5:"admin";}}`))
	if err != nil {
		log.Fatal(err)
	}
	var user struct {
		Name  string   `php:"name"`
		Roles []string `php:"roles"`
	}
	v, _ := values.Get("user")
	if err := phpsession.As(v, &user); err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Name, user.Roles)
	// Output: anna [admin]
}
