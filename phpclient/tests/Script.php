<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use PHPUnit\Framework\Assert;

/**
 * Scripts in php-cli processes of their own, on the shared sessiond.
 */
final class Script
{
    /**
     * Runs a script that ends with echo json_encode(…).
     *
     * @param array<string, string> $ini
     * @param array<string, string> $environment
     *
     * @return mixed
     */
    public static function run(string $script, array $ini = [], array $environment = [])
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
        Assert::assertIsResource($process);
        fwrite($pipes[0], "<?php\n$script");
        fclose($pipes[0]);
        $output = (string) stream_get_contents($pipes[1]);
        $errors = (string) stream_get_contents($pipes[2]);
        proc_close($process);
        $answer = json_decode($output, true);
        Assert::assertSame(JSON_ERROR_NONE, json_last_error(), "output: $output\nerrors: $errors");
        if (is_array($answer) && array_key_exists('warnings', $answer)) {
            $answer['warnings'] = $errors;
        } else {
            Assert::assertSame('', $errors);
        }
        return $answer;
    }
}
