namespace OciRegistry.Server;

/// <summary>What a person who started the program wants to know next.</summary>
internal static class StartupMessage
{
    /// <param name="urls">Where it listens.</param>
    /// <param name="operationsUrls">Where it listens for health, metrics and the admin API alone.</param>
    /// <param name="storage">Where it stores.</param>
    /// <param name="isGuarded">Whether one has to log in.</param>
    /// <param name="redis">Where its locks are.</param>
    public static string For(
        IEnumerable<string> urls, IEnumerable<string> operationsUrls, string storage, bool isGuarded, params IEnumerable<string> redis)
    {
        var lines = new List<string> { CommandLine.Version };
        lines.AddRange(urls.Select(url => $"Listening on {url}"));
        lines.AddRange(operationsUrls.Select(url => $"Health, metrics and admin API on {url}"));
        lines.Add($"Storing in {storage}");
        if (redis.Any())
        {
            lines.Add($"Locking with Redis at {string.Join(", ", redis)}");
        }

        if (urls.Select(BindingAddress.Parse).FirstOrDefault(address => !address.IsUnixPipe) is { } address)
        {
            lines.AddRange(["", "To push an image to it:", .. PushLines(address, isGuarded).Select(line => $"  {line}"), ""]);
        }

        return string.Join(Environment.NewLine, lines);
    }

    private static string[] PushLines(BindingAddress address, bool isGuarded)
    {
        // "All addresses" is nothing that one can connect to, and docker takes no IPv6 address in an image's name.
        var host = address.Host is "*" or "+" or "0.0.0.0" or "[::]" or "[::1]" ? "localhost" : address.Host;
        var registry = $"{host}:{address.Port}";

        // Docker speaks plain HTTP to this machine only, unless it is configured to.
        var isTrusted = address.Scheme == "https"
            || host is "localhost"
            || host.StartsWith("127.", StringComparison.Ordinal);
        return isTrusted
            ?
            [
                .. isGuarded ? [$"docker login {registry}"] : Array.Empty<string>(),
                $"docker tag alpine {registry}/alpine",
                $"docker push {registry}/alpine",
            ]
            :
            [
                .. isGuarded ? [$"skopeo login --tls-verify=false {registry}"] : Array.Empty<string>(),
                "skopeo copy --dest-tls-verify=false \\",
                $"  docker://docker.io/library/alpine docker://{registry}/alpine",
            ];
    }
}
