using System.Diagnostics.CodeAnalysis;
using System.Net;
using StackExchange.Redis;

namespace OciRegistry.Redis;

/// <summary>One configuration string, read. What it says for people never has the password.</summary>
internal sealed class RedisConfiguration
{
    private RedisConfiguration(ConfigurationOptions options)
    {
        Options = options;
        EndPoints = [.. options.EndPoints.Select(Text)];
    }

    /// <summary>What StackExchange.Redis connects with.</summary>
    public ConfigurationOptions Options { get; }

    /// <summary>Each address as host:port.</summary>
    public IReadOnlyList<string> EndPoints { get; }

    /// <summary>Reads a string that was checked.</summary>
    public static RedisConfiguration Parse(string text) =>
        TryParse(text, out var configuration, out var problem) ? configuration : throw new FormatException(problem);

    /// <param name="text">The configuration string.</param>
    /// <param name="configuration">What it says.</param>
    /// <param name="problem">
    /// What is wrong and what to write instead, to go on after the setting's name. It repeats nothing of the text, any
    /// part of which may be a password with a comma in it.
    /// </param>
    public static bool TryParse(
        string text,
        [NotNullWhen(true)] out RedisConfiguration? configuration,
        [NotNullWhen(false)] out string? problem)
    {
        configuration = null;
        problem = Problem(text);
        if (problem is null)
        {
            var options = ConfigurationOptions.Parse(text);
            options.SetDefaultPorts();
            SetForLocks(options);
            configuration = new RedisConfiguration(options);
        }

        return configuration is not null;
    }

    private static string? Problem(string text)
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        var hasEndPoint = false;
        var hasOption = false;
        for (var i = 0; i < parts.Length; i++)
        {
            var part = parts[i];
            if (part.Length == 0)
            {
                continue;
            }

            var isOption = part.Contains('=', StringComparison.Ordinal);
            if (ProblemOf(part, isOption, follows: hasOption) is { } problem)
            {
                return $"cannot be used: part {i + 1} of it, counted by commas, {problem}";
            }

            hasOption |= isOption;
            hasEndPoint |= !isOption;
        }

        return hasEndPoint ? null : "names no server. Begin it with an address, as in redis:6379,password=...";
    }

    private static string? ProblemOf(string part, bool isOption, bool follows)
    {
        if (part.Contains("://", StringComparison.Ordinal))
        {
            return "is a URL. Write host:port, and the rest as options: redis:6379,password=...,ssl=true.";
        }

        if (isOption)
        {
            var name = part[..part.IndexOf('=', StringComparison.Ordinal)].Trim();
            return name.ToUpperInvariant() switch
            {
                // What StackExchange.Redis 1.2.6 has no means for.
                "USER" or "USERNAME" => "names an ACL user, and only the default user can log in. Leave it out, and let the "
                    + "default user have the password.",
                "SSLPROTOCOLS" => "is sslProtocols, which cannot be chosen. Leave it out: TLS 1.2 or 1.3 is used.",
                "CHANNELPREFIX" => "is channelPrefix. Leave it out: KeyPrefix is what keys and channel begin with.",
                _ => CanBeRead(part) ? null : "is no option of StackExchange.Redis 1.2.6, or has a value that it cannot read. "
                    + "Common ones are password, ssl, sslHost and defaultDatabase.",
            };
        }

        if (follows)
        {
            return "is an address after an option. Write the addresses first; a password cannot have a comma in it.";
        }

        if (part.Count(character => character == ':') > 1 || part.Contains('[', StringComparison.Ordinal))
        {
            return "is an IPv6 address, which StackExchange.Redis 1.2.6 cannot read. Write a host name that leads to it.";
        }

        var colon = part.IndexOf(':', StringComparison.Ordinal);
        return colon == 0 || (colon > 0 && !(ushort.TryParse(part[(colon + 1)..], out var port) && port > 0)) || !CanBeRead(part)
            ? "is no address. Write host:port, as in redis:6379."
            : null;
    }

    private static bool CanBeRead(string part)
    {
        try
        {
            ConfigurationOptions.Parse(part);
            return true;
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or OverflowException)
        {
            return false;
        }
    }

    private static void SetForLocks(ConfigurationOptions options)
    {
        options.AbortOnConnectFail = false; // the registry starts without
        options.ConnectTimeout = 2000;
        options.ConnectRetry = 1;
        options.SyncTimeout = 1500;
        options.KeepAlive = 5;
        options.ConfigCheckSeconds = 5;
        options.ClientName = "OciRegistry";
    }

    private static string Text(EndPoint endpoint) => endpoint switch
    {
        DnsEndPoint name => $"{name.Host}:{name.Port}",
        _ => endpoint.ToString()!,
    };
}
