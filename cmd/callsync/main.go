// Command callsync keeps HubSpot and Salesforce true to the calls that 11x's
// voice agent Julian makes.
package main

func main() {}
