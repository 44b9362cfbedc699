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
     * Runs a script that ends with echo json_encode(…).
     *
     * @param array<string, string> $ini
     * @param array<string, string> $environment
     *
     * @return mixed
     */
    private static function runScript(string $script, array $ini = [], array $environment = [])
    {
        $command = [PHP_BINARY];
        $ini += ['display_errors' => 'stderr', 'error_reporting' => (string) E_ALL, 'log_errors' => '0'];
        foreach ($ini as $name => $value) {
            array_push($command, '-d', "$name=$value");
        }
        $environment += [
            'LVSESSION_ENDPOINTS' => Sessiond::shared()->http,
            'LVSESSION_LOCK_WAIT_MS' => '5000',
            'PATH' => (string) getenv('PATH'),
        ];
        $pipes = [];
        $process = proc_open(
            $command,
            [['pipe', 'r'], ['pipe', 'w'], ['pipe', 'w']],
            $pipes,
            dirname(__DIR__),
            array_filter($environment, 'strlen')
        );
        self::assertIsResource($process);
        fwrite($pipes[0], "<?php\n$script");
        fclose($pipes[0]);
        $output = (string) stream_get_contents($pipes[1]);
        $errors = (string) stream_get_contents($pipes[2]);
        proc_close($process);
        $answer = json_decode($output, true);
        self::assertSame(JSON_ERROR_NONE, json_last_error(), "output: $output\nerrors: $errors");
        if (is_array($answer) && array_key_exists('warnings', $answer)) {
            $answer['warnings'] = $errors;
        } else {
            self::assertSame('', $errors);
        }
        return $answer;
    }

    /**
     * What PHP calls, and how that ends, for what scripts do. The second session_start() of a script finds the id of
     * the first, as the next request would by its cookie.
     *
     * @return array<string, array{0: string, 1: string}>
     */
    public static function scenarios(): array
    {
        $begin = 'session_start(); $_SESSION["a"] = 1; session_write_close(); Recorder::$calls = []; session_start();';
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
                "$begin session_abort(); Recorder::\$calls = []; session_start(['read_and_close' => true]);",
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
            $got = self::runScript(
                "require 'tests/bootstrap.php'; ob_start(); use Lvsession\\Tests\\Recorder;"
                . 'session_set_save_handler(new Recorder(Lvsession\Options::fromEnvironment()), true);'
                . "$script echo json_encode(Recorder::\$calls);",
                ['session.use_strict_mode' => '1'],
                ['LVSESSION_LOCKING' => $locking]
            );
            self::assertSame($calls, implode(' ', $got), $locking);
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
                        [$id, $got] = self::runScript(
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
        $id = self::runScript("$script session_start(); \$_SESSION['a'] = 'b'; echo json_encode(session_id());");
        // The lock of the first script is gone, and what it left for PHP to store at its end is stored.
        $got = self::runScript("$script session_id('$id'); session_start(); \$a = \$_SESSION;"
            . 'session_regenerate_id(true); $new = session_id(); session_destroy(); $removed = _clean(1440);'
            . 'echo json_encode([$a, $new, $removed]);');
        self::assertSame(['a' => 'b'], $got[0]);
        self::assertNotSame($id, $got[1]);
        self::assertIsInt($got[2]);
        self::assertSame([], self::runScript(
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
        $id = self::runScript($script, $ini, $none);
        $script = "ob_start(); session_id('$id'); session_start(); echo json_encode(\$_SESSION);";
        self::assertSame(['a' => 1], self::runScript($script, $ini, $none));
    }

    public function testFailedWriteIsReportedAndLeavesNoLock(): void
    {
        $setup = 'require "autoload.php"; ob_start(); $h = Lvsession\SessionHandler::register(); ';
        $id = self::runScript("$setup session_start(); \$_SESSION['a'] = 1; echo json_encode(session_id());");
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
            $got = self::runScript("$setup session_id('$id'); session_start(); \$_SESSION['a'] = 3; $intrude $end"
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
        $got = self::runScript($script, [], $environment);
        self::assertSame('Lvsession\Exception\Unavailable', $got['ok']);
        self::assertSame(PHP_SESSION_NONE, $got['status']);
        $got = self::runScript($script, [], $environment + ['LVSESSION_ON_FAILURE' => 'warn']);
        self::assertFalse($got['ok']);
        self::assertStringContainsString('cannot open session', $got['warnings']);
    }

    public function testRegisterComesFirst(): void
    {
        $got = self::runScript('require "autoload.php"; ob_start(); session_start(); $e = null;'
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
