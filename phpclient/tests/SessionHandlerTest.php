<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\Client;
use Lvsession\Exception\Conflict;
use Lvsession\Options;
use Lvsession\SessionHandler;
use PHPUnit\Framework\TestCase;

/**
 * The handler as PHP drives it: each script is a php-cli process of its own, on a real sessiond.
 */
final class SessionHandlerTest extends TestCase
{
    /**
     * What PHP calls, and how that ends, for what scripts do. The second session_start() of a script finds the id of
     * the first, as the next request would by its cookie.
     *
     * @return array<string, array{0: string, 1: string}>
     */
    public static function scenarios(): array
    {
        $begin = 'session_start(); $_SESSION["a"] = 1; session_write_close(); Calls::$made = []; session_start();';
        return [
            'new session' => [
                'session_start(); $_SESSION["a"] = 1; session_write_close();',
                'open create_sid read write close',
            ],
            'new session, nothing stored' => [
                'session_start(); session_write_close();',
                'open create_sid read write close',
            ],
            'made-up id' => [
                'session_id(str_repeat("a", 32)); session_start(); $_SESSION["a"] = 1; session_write_close();',
                'open validateId=false create_sid read write close',
            ],
            'change' => ["$begin \$_SESSION['a'] = 2; session_write_close();", 'open validateId read write close'],
            'lazy write' => ["$begin session_write_close();", 'open validateId read updateTimestamp close'],
            'abort' => ["$begin \$_SESSION['a'] = 2; session_abort();", 'open validateId read close'],
            'reset' => [
                "$begin \$_SESSION['a'] = 2; session_reset(); session_write_close();",
                'open validateId read open validateId read updateTimestamp close',
            ],
            'read and close' => [
                "$begin session_abort(); Calls::\$made = []; session_start(['read_and_close' => true]);",
                'open validateId read close',
            ],
            'regenerate' => [
                "$begin session_regenerate_id(); session_write_close();",
                'open validateId read write close open create_sid validateId=false read write close',
            ],
            'regenerate and delete' => [
                "$begin session_regenerate_id(true); session_write_close();",
                'open validateId read destroy close open create_sid validateId=false read write close',
            ],
            'destroy' => ["$begin session_destroy();", 'open validateId read destroy close'],
            'destroy and begin anew' => [
                "$begin \$id = session_id(); session_destroy(); session_id(\$id); session_start(); session_abort();",
                'open validateId read destroy close open validateId=false create_sid read close',
            ],
            'create an id on the way' => [
                "$begin session_create_id(); \$_SESSION['a'] = 2; session_write_close();",
                'open validateId read create_sid validateId=false write close',
            ],
        ];
    }

    /**
     * @dataProvider scenarios
     */
    public function testCalls(string $script, string $calls): void
    {
        foreach (['lease', 'optimistic', 'none'] as $locking) {
            $got = Script::run(
                "require 'tests/bootstrap.php'; ob_start();"
                . 'use Lvsession\Tests\Recorder; use Lvsession\Tests\Calls;'
                . 'session_set_save_handler(new Recorder(Lvsession\Options::fromEnvironment()), true);'
                . "$script echo json_encode(Calls::\$made);",
                ['session.use_strict_mode' => '1'],
                ['LVSESSION_LOCKING' => $locking]
            );
            self::assertSame($calls, preg_replace("~\([^)]*\)~", "", implode(" ", $got)), $locking);
        }
    }

    public function testSessionOutlivesTheProcessInEveryMode(): void
    {
        foreach (['lease', 'optimistic', 'none'] as $locking) {
            foreach ([Sessiond::shared()->http, Sessiond::shared()->unix] as $endpoint) {
                foreach (['1', '0'] as $strict) {
                    $environment = [
                        'LVSESSION_LOCKING' => $locking,
                        'LVSESSION_ENDPOINTS' => $endpoint,
                        'LVSESSION_STRICT_MODE' => $strict,
                    ];
                    $id = '';
                    for ($count = 1; $count <= 3; $count++) {
                        [$id, $got] = Script::run(
                            'require "autoload.php"; ob_start(); Lvsession\SessionHandler::register();'
                            . ($id === '' ? '' : "session_id('$id');") . 'session_start();'
                            . '$_SESSION["n"] = ($_SESSION["n"] ?? 0) + 1; session_write_close();'
                            . 'echo json_encode([session_id(), $_SESSION["n"]]);',
                            [],
                            $environment
                        );
                        self::assertSame($count, $got, "$locking over $endpoint, strict $strict");
                    }
                }
            }
        }
    }

    public function testSixFunctionsOfOldCode(): void
    {
        $script = 'require "legacy.php"; ob_start(); error_reporting(E_ALL & ~E_DEPRECATED);'
            . 'session_set_save_handler("_open", "_close", "_read", "_write", "_destroy", "_clean");';
        $id = Script::run("$script session_start(); \$_SESSION['a'] = 'b'; echo json_encode(session_id());");
        // The lock of the first script is gone, and what it left for PHP to store at its end is stored.
        $got = Script::run("$script session_id('$id'); session_start(); \$a = \$_SESSION;"
            . 'session_regenerate_id(true); $new = session_id(); session_destroy(); $removed = _clean(1440);'
            . 'echo json_encode([$a, $new, $removed]);');
        self::assertSame(['a' => 'b'], $got[0]);
        self::assertNotSame($id, $got[1]);
        self::assertIsInt($got[2]);
        self::assertSame([], Script::run(
            'require "autoload.php"; ob_start(); Lvsession\SessionHandler::register();'
            . "session_id('$id'); session_start(); echo json_encode(\$_SESSION);"
        ));
    }

    public function testTwoLinesOfPhpIni(): void
    {
        $ini = [
            'auto_prepend_file' => dirname(__DIR__) . '/prepend.php',
            'lvsession.endpoints' => '"' . Sessiond::shared()->http . '"',
        ];
        $none = ['LVSESSION_ENDPOINTS' => ''];
        $script = 'ob_start(); session_start(); $_SESSION["a"] = 1; echo json_encode(session_id());';
        $id = Script::run($script, $ini, $none);
        $script = "ob_start(); session_id('$id'); session_start(); echo json_encode(\$_SESSION);";
        self::assertSame(['a' => 1], Script::run($script, $ini, $none));
    }

    public function testPreloading(): void
    {
        $got = Script::run(
            '$loaded = class_exists("Lvsession\Connection", false); require "prepend.php"; ob_start(); session_start();'
            . '$_SESSION["a"] = 1; session_write_close(); session_start(); echo json_encode([$loaded, $_SESSION]);',
            [
                'opcache.enable_cli' => '1', 'opcache.preload' => dirname(__DIR__) . '/preload.php',
                'opcache.preload_user' => posix_getpwuid(posix_geteuid())['name'],
            ]
        );
        self::assertSame([true, ['a' => 1]], $got);
    }

    public function testFailedWriteIsReportedAndLeavesNoLock(): void
    {
        $setup = 'require "autoload.php"; ob_start(); $h = Lvsession\SessionHandler::register(); ';
        $id = Script::run("$setup session_start(); \$_SESSION['a'] = 1; echo json_encode(session_id());");
        // Another client, that knows of no lock, gets in between.
        $intrude = '(new Lvsession\Client(Lvsession\Options::fromEnvironment()))'
            . "->write('$id', 'a|i:2;', -1, '', 60000);";
        $cases = [
            'plain' => 'session_write_close(); $e = get_class($h->lastError());',
            'commit' => 'try { $h->commit(); $e = ""; } catch (Exception $x) { $e = get_class($x); }',
            'error handler that throws' => 'set_error_handler(function ($n, $m) { throw new ErrorException($m); });'
                . 'try { session_write_close(); $e = ""; } catch (Exception $x) { $e = get_class($h->lastError()); }',
        ];
        foreach ($cases as $case => $end) {
            $got = Script::run("$setup session_id('$id'); session_start(); \$_SESSION['a'] = 3; $intrude $end"
                . 'echo json_encode(["error" => $e, "warnings" => ""]);');
            self::assertSame(Conflict::class, $got['error'], $case);
            self::assertStringNotContainsString($id, $got['warnings'], $case);
            $client = new Client(new Options(['endpoints' => Sessiond::shared()->http, 'lock_wait_ms' => 0]));
            $session = $client->open($id); // throws Locked if the lease was left behind
            self::assertNotNull($session);
            self::assertSame('a|i:2;', $session->payload, $case);
            $client->close($id, $session->lease);
        }
    }

    public function testStoreAway(): void
    {
        $environment = ['LVSESSION_ENDPOINTS' => 'http://' . Sessiond::freeAddress()];
        $script = 'require "autoload.php"; ob_start(); session_id(str_repeat("a", 52));'
            . '$h = Lvsession\SessionHandler::register(); try { $ok = session_start(); } catch (Exception $x) '
            . '{ $ok = get_class($x); } echo json_encode(["ok" => $ok, "status" => session_status(), '
            . '"id" => session_id(), "warnings" => ""]);';
        $got = Script::run($script, [], $environment);
        self::assertSame('Lvsession\Exception\Unavailable', $got['ok']);
        self::assertSame(PHP_SESSION_NONE, $got['status']);
        $got = Script::run($script, [], $environment + ['LVSESSION_ON_FAILURE' => 'warn']);
        self::assertFalse($got['ok']);
        self::assertStringContainsString('cannot open session', $got['warnings']);
    }

    public function testStoreAwayCanMeanAnEmptySessionThatNobodyStores(): void
    {
        $setup = 'require "autoload.php"; ob_start(); $h = Lvsession\Session::register(); ';
        $id = Script::run("$setup session_start(); \$_SESSION['a'] = 1; echo json_encode(session_id());");
        $script = "$setup session_id('$id'); \$ok = session_start(); \$was = \$_SESSION; CHANGE session_write_close();"
            . 'echo json_encode([$ok, $was, session_id(), "warnings" => ""]);';
        $away = [
            'LVSESSION_ENDPOINTS' => 'http://' . Sessiond::freeAddress(), 'LVSESSION_ON_FAILURE' => 'read-only-empty',
        ];
        $got = Script::run(str_replace('CHANGE', '', $script), [], $away);
        self::assertSame([true, [], $id], [$got[0], $got[1], $got[2]]);
        self::assertStringContainsString('cannot open session', $got['warnings']);
        self::assertStringNotContainsString('cannot write', $got['warnings']);
        $got = Script::run(str_replace('CHANGE', '$_SESSION["b"] = 2;', $script), [], $away);
        self::assertStringContainsString('cannot write session', $got['warnings']);
        // The store comes back while the request goes on: what it would store is not what the visitor had.
        $back = Script::run(
            "$setup session_id('$id'); session_start(); \$_SESSION['b'] = 2;"
            . '$p = new ReflectionProperty($h, "client"); $p->setAccessible(true);'
            . '$o = ["endpoints" => "' . Sessiond::shared()->http . '"];'
            . '$p->setValue($h, new Lvsession\Client(new Lvsession\Options($o)));'
            . 'session_write_close(); echo json_encode(["warnings" => ""]);',
            [],
            $away
        );
        self::assertStringContainsString('cannot write session', $back['warnings']);
        self::assertSame(['a' => 1], Script::run("$setup session_id('$id'); session_start();"
            . 'echo json_encode($_SESSION);'));
    }

    public function testPageMakesTwoExchanges(): void
    {
        $setup = 'require "autoload.php"; ob_start(); Lvsession\Session::register(); session_start();';
        $id = Script::run("$setup \$_SESSION['a'] = 1; echo json_encode(session_id());");
        $setup = str_replace('session_start', "session_id('$id'); session_start", $setup);
        foreach (['$_SESSION["a"]++;' => 'write', '' => 'touch', 'session_destroy();' => 'destroy'] as $what => $last) {
            $before = self::exchanges();
            Script::run("$setup $what echo json_encode(1);");
            $made = array_filter(self::exchanges(), static function (int $n, string $operation) use ($before): bool {
                return $n !== ($before[$operation] ?? 0);
            }, ARRAY_FILTER_USE_BOTH);
            unset($made['metrics']);
            self::assertSame(['open', $last], array_keys($made), $what);
        }
    }

    /**
     * @return array<string, int> how many requests sessiond has served, by operation
     */
    private static function exchanges(): array
    {
        $metrics = (string) file_get_contents(Sessiond::shared()->http . '/metrics');
        $count = '~^sessiond_request_seconds_count\{.*operation="(\w+)".*\} (\d+)$~m';
        preg_match_all($count, $metrics, $m, PREG_SET_ORDER);
        $counts = [];
        foreach ($m as [, $operation, $n]) {
            $counts[$operation] = ($counts[$operation] ?? 0) + (int) $n;
        }
        uksort($counts, static function (string $a, string $b): int {
            return [$a !== 'open', $a] <=> [$b !== 'open', $b];
        });
        return $counts;
    }

    /**
     * What ends a script, and whether PHP stores the session then.
     *
     * @return array<string, array{0: string, 1: int}>
     */
    public static function ends(): array
    {
        return [
            'end of the script' => ['', 2],
            'exit' => ['exit;', 2],
            'uncaught exception' => ['throw new Exception("x");', 2],
            'fatal error' => ['undefined_function();', 2],
            'out of memory' => ['ob_end_flush(); ini_set("memory_limit", "4M"); str_repeat("x", 100000000);', 2],
            'end in a shutdown function' => ['register_shutdown_function(function () { $_SESSION["a"]++; });', 3],
            'closed twice' => ['session_write_close(); if (session_write_close() !== false) { $_SESSION = []; }', 2],
            'aborted' => ['session_abort();', 1],
            'reset' => ['session_reset();', 1],
        ];
    }

    /**
     * @dataProvider ends
     */
    public function testHoweverAScriptEndsTheLockGoes(string $end, int $stored): void
    {
        $setup = 'require "autoload.php"; ob_start(); ini_set("display_errors", "0"); Lvsession\Session::register();';
        $id = Script::run("$setup session_start(); \$_SESSION['a'] = 1; echo json_encode(session_id());");
        Script::run("$setup echo json_encode(['warnings' => '']); session_id('$id'); session_start();"
            . "\$_SESSION['a'] = 2; $end");
        self::assertSame(['a' => $stored], Script::run(
            "$setup session_id('$id'); session_start(['read_and_close' => true]); echo json_encode(\$_SESSION);",
            [],
            ['LVSESSION_LOCK_WAIT_MS' => '0']
        ));
    }

    public function testForkedProcessLeavesTheSessionToItsParent(): void
    {
        if (!function_exists('pcntl_fork')) {
            self::fail('this PHP cannot fork: its package is php-cli');
        }
        $setup = 'require "autoload.php"; ob_start(); $h = Lvsession\Session::register();';
        $id = Script::run("$setup session_start(); \$_SESSION['a'] = 1; echo json_encode(session_id());");
        $got = Script::run("$setup session_id('$id'); session_start(); \$_SESSION['a'] = 2; \$pid = pcntl_fork();"
            . 'if ($pid === 0) { $_SESSION["a"] = 3; session_write_close(); exit; } pcntl_wait($status);'
            . '$other = new Lvsession\Client(Lvsession\Options::fromEnvironment());'
            . "try { \$other->open('$id'); \$locked = false; }"
            . 'catch (Lvsession\Exception\Locked $e) { $locked = true; }'
            . '$h->commit(); ob_clean(); echo json_encode(["locked" => $locked, "warnings" => ""]);', [], [
                'LVSESSION_LOCK_WAIT_MS' => '0',
            ]);
        self::assertTrue($got['locked'], 'the child released its parent\'s lock');
        self::assertSame(['a' => 2], Script::run("$setup session_id('$id'); session_start();"
            . 'echo json_encode($_SESSION);'));
    }

    public function testIdThatTheApplicationChose(): void
    {
        foreach (['0', '1'] as $strict) {
            $id = 'chosen-by-the-application,' . bin2hex(random_bytes(8));
            [$first, $second, $data] = Script::run(
                'require "autoload.php"; ob_start(); Lvsession\Session::register(["strict_mode" => false]);'
                . "session_id('$id'); session_start(); \$_SESSION['a'] = 1; session_write_close();"
                . '$first = session_id(); session_start(); echo json_encode([$first, session_id(), $_SESSION]);',
                ['session.use_strict_mode' => $strict, 'session.use_cookies' => '0']
            );
            self::assertSame($strict === '0', $first === $id, "strict mode $strict");
            self::assertSame([$first, ['a' => 1]], [$second, $data]);
        }
    }

    public function testRegisterComesFirst(): void
    {
        $got = Script::run('require "autoload.php"; ob_start(); session_start(); $e = null;'
            . 'try { Lvsession\SessionHandler::register(); } catch (Exception $e) {} echo json_encode(get_class($e));');
        self::assertSame('LogicException', $got);
    }

    public function testIdsAreLongAndDiffer(): void
    {
        $handler = new SessionHandler();
        $seen = [];
        for ($i = 0; $i < 1000; $i++) {
            $id = $handler->create_sid();
            self::assertMatchesRegularExpression('~^[a-z2-7]{52}$~D', $id);
            $seen[$id] = true;
        }
        self::assertCount(1000, $seen);
    }

    public function testFrameworkThatOnlyReadsAndWrites(): void
    {
        $options = new Options(['endpoints' => Sessiond::shared()->http, 'lock_wait_ms' => 0]);
        $a = str_repeat('A', 40);
        $b = str_repeat('B', 40);
        $handler = new SessionHandler($options);
        self::assertSame('', $handler->read($a));
        self::assertTrue($handler->write($a, 'a'));
        self::assertTrue($handler->write($b, 'b')); // never read: as after Laravel's regenerate
        self::assertSame('b', $handler->read($b)); // and this lets go of the lock on a
        self::assertSame('a', (new SessionHandler($options))->read($a));
        unset($handler);
        self::assertSame('b', (new SessionHandler($options))->read($b));
        self::assertTrue((new SessionHandler($options))->destroy($a));
        self::assertTrue((new SessionHandler($options))->destroy($b));
    }

    public function testSessionThatExpiresDuringTheRequestIsStoredAnew(): void
    {
        foreach (['write', 'updateTimestamp'] as $call) {
            $options = ['endpoints' => Sessiond::shared()->http];
            $id = (new SessionHandler())->create_sid();
            $client = new Client(new Options($options));
            $client->write($id, 'kept', Client::NO_VERSION, '', 200);
            $handler = new SessionHandler(new Options($options));
            self::assertSame('kept', $handler->read($id));
            while ($client->read($id) !== null) {
                usleep(10000);
            }
            self::assertTrue($handler->$call($id, 'kept'));
            $session = $client->read($id);
            self::assertNotNull($session, $call);
            self::assertSame('kept', $session->payload, $call);
            $handler->close();
        }
    }
}
