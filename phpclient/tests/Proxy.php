<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * A proxy in front of the real sessiond that breaks requests by plan, one word for each, and passes all further ones:
 *
 * pass      forward the request and the answer
 * refuse    close the connection without forwarding the request
 * lose      forward the request, then close the connection without an answer
 * half      forward the request, send half of the answer, close
 * stall     forward the request, send half of the answer, keep the connection
 * flood     send an answer that claims to be larger than any
 * excess    forward the request, send the answer and a byte more
 * busy      answer 503 as a draining sessiond does
 * stranger  answer 404 as some other web server does
 */
final class Proxy
{
    /** Where it listens. */
    public string $http;

    private Process $process;

    public function __construct(string $plan)
    {
        $script = __DIR__ . '/scripts/proxy.php';
        $target = str_replace('http://', 'tcp://', Sessiond::shared()->http);
        $this->process = new Process([PHP_BINARY, $script, $target, $plan]);
        $this->http = 'http://' . $this->process->line();
    }
}
