namespace OciRegistry.Redis;

/// <summary>What runs in a Redis, each script as one step. Every key that they write expires.</summary>
/// <remarks>
/// KEYS: 1 the lock (the token of whoever holds it), 2 the queue (waiter by arrival), 3 when each waiter was last heard.
/// Times are microseconds, since numbers of Lua hold them exactly until the year 2255.
/// </remarks>
internal static class RedisScripts
{
    /// <summary>What metrics and traces call a script.</summary>
    public static string NameOf(string script) => script switch
    {
        Acquire => "acquire",
        Extend => "extend",
        Release => "release",
        AskForRelease => "ask",
        _ => "probe",
    };

    /// <summary>1 when the lock is taken, 0 when it is not to be had now.</summary>
    /// <remarks>
    /// ARGV: 1 token, 2 waiter, 3 lease in ms, 4 arrival (negative or zero: that long ago, by this server's clock),
    /// 5 "1" to wait in the queue, 6 ms after which a silent waiter is gone.
    /// </remarks>
    public const string Acquire = """
        local clock = redis.call('TIME')
        local now = clock[1] * 1000000 + clock[2]
        for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[6] * 1000)) do
          redis.call('ZREM', KEYS[2], gone)
          redis.call('ZREM', KEYS[3], gone)
        end
        local arrival = tonumber(ARGV[4])
        if arrival <= 0 then arrival = now + arrival end
        if not redis.call('GET', KEYS[1]) then
          local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
          if not head[1] or head[1] == ARGV[2] or arrival < tonumber(head[2]) then
            redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
            redis.call('ZREM', KEYS[2], ARGV[2])
            redis.call('ZREM', KEYS[3], ARGV[2])
            return 1
          end
        end
        if ARGV[5] == '1' then
          redis.call('ZADD', KEYS[2], 'NX', arrival, ARGV[2])
          redis.call('ZADD', KEYS[3], now, ARGV[2])
          redis.call('PEXPIRE', KEYS[2], ARGV[6] * 2)
          redis.call('PEXPIRE', KEYS[3], ARGV[6] * 2)
        end
        return 0
        """;

    /// <summary>1 when the lock was still held with the token, whose lease begins anew; 0 when it is gone.</summary>
    /// <remarks>ARGV: 1 token, 2 lease in ms.</remarks>
    public const string Extend = """
        if redis.call('GET', KEYS[1]) == ARGV[1] then
          return redis.call('PEXPIRE', KEYS[1], ARGV[2])
        end
        return 0
        """;

    /// <summary>Releases the lock if it is held with the token; wakes the others when it is free then.</summary>
    /// <remarks>ARGV: 1 token, 2 waiter, 3 "1" to leave the queue as well, 4 channel, 5 message.</remarks>
    public const string Release = """
        if redis.call('GET', KEYS[1]) == ARGV[1] then
          redis.call('DEL', KEYS[1])
        end
        if ARGV[3] == '1' then
          redis.call('ZREM', KEYS[2], ARGV[2])
          redis.call('ZREM', KEYS[3], ARGV[2])
        end
        if redis.call('EXISTS', KEYS[1]) == 0 and redis.call('EXISTS', KEYS[2]) == 1 then
          redis.call('PUBLISH', ARGV[4], ARGV[5])
        end
        return 1
        """;

    /// <summary>Tells whoever holds the lock now, and nobody who will, that somebody wants it.</summary>
    /// <remarks>ARGV: 1 channel, 2 and 3 what the message has before and after the holder's token.</remarks>
    public const string AskForRelease = """
        local holder = redis.call('GET', KEYS[1])
        if not holder then return 0 end
        redis.call('PUBLISH', ARGV[1], ARGV[2] .. holder .. ARGV[3])
        return 1
        """;

    /// <summary>Whether this server takes writes, and scripts that write.</summary>
    /// <remarks>KEYS: 1 a key of its own.</remarks>
    public const string Probe = """
        redis.call('SET', KEYS[1], '1', 'PX', 1000)
        return 1
        """;
}
