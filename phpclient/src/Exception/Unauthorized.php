<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * sessiond wants another secret than the option "secret" holds, or none was given.
 */
final class Unauthorized extends SessionException
{
}
