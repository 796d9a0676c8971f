using System.Collections.Frozen;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using OciRegistry.Server.Settings;
using OciRegistry.Storage;

namespace OciRegistry.Server;

/// <summary>Where the program listens, and what to say when it cannot.</summary>
internal sealed class Listening
{
    // Not "localhost", which would take both 127.0.0.1 and [::1], nor any address that others can reach.
    public const string DefaultUrl = "http://127.0.0.1:5000";

    public const string Endpoints = $"{Kestrel}:Endpoints";

    private const string Kestrel = "Kestrel";

    // What the framework reads. It ignores all else, limits too, which somebody would take for set.
    private static readonly FrozenSet<string> KestrelSections =
        FrozenSet.Create(StringComparer.OrdinalIgnoreCase, "Certificates", "EndpointDefaults", "Endpoints");

    private const string Remedy = "listen elsewhere, as with --urls=http://127.0.0.1:5001";

    // Names of endpoints of our own, which nobody would choose.
    private const string PublicName = "OciRegistry.Public.";
    private const string OperationsName = "OciRegistry.Operations.";

    private static readonly string OperationsKey = $"{Setting.Section}:{nameof(OciRegistryOptions.Operations)}:{nameof(OperationsOptions.Urls)}";

    private static readonly string[] PortKeys = [WebHostDefaults.HttpPortsKey, WebHostDefaults.HttpsPortsKey];

    private volatile bool _isStarted;

    public Listening(WebApplicationBuilder builder)
    {
        var configuration = builder.Configuration;
        if (OperationsUrls(configuration) is { Count: > 0 } operations)
        {
            UseEndpoints(builder, operations);
        }
        else if (!string.IsNullOrEmpty(configuration[WebHostDefaults.ServerUrlsKey]) || configuration.GetSection(Endpoints).Exists())
        {
            // The environment of a container has ports, which these override: the framework warns of that.
            UseNoPorts(builder);
        }
        else if (PortKeys.All(key => string.IsNullOrEmpty(configuration[key])))
        {
            builder.WebHost.UseUrls(DefaultUrl);
        }

        // The host logs whatever keeps it from starting with a stack trace. StartAsync says it in a sentence.
        builder.Logging.AddFilter(
            "Microsoft.Extensions.Hosting.Internal.Host", level => _isStarted && level >= LogLevel.Warning);
    }

    /// <summary>Where Kestrel listens: its endpoints count before urls, and those before ports.</summary>
    public static IReadOnlyList<string> Urls(IConfiguration configuration)
    {
        string[][] named =
        [
            [
                .. configuration.GetSection(Endpoints).GetChildren()
                    .Where(endpoint => !endpoint.Key.StartsWith(OperationsName, StringComparison.Ordinal))
                    .Select(endpoint => endpoint["Url"])
                    .OfType<string>(),
            ],
            Listed(configuration, WebHostDefaults.ServerUrlsKey),
            [
                .. Listed(configuration, WebHostDefaults.HttpPortsKey).Select(port => $"http://*:{port}"),
                .. Listed(configuration, WebHostDefaults.HttpsPortsKey).Select(port => $"https://*:{port}"),
            ],
        ];
        return named.FirstOrDefault(urls => urls.Length > 0) ?? [DefaultUrl];
    }

    /// <summary>The addresses for health, metrics and the admin API; none when they are answered on those of the registry.</summary>
    public static IReadOnlyList<string> OperationsUrls(IConfiguration configuration) =>
        [.. ServerConfiguration.Registry(configuration).Operations.Urls.SelectMany(Split)];

    /// <summary>The names of Kestrel's endpoints for them, once the server is being built.</summary>
    public static IEnumerable<string> OperationsEndpoints(IConfiguration configuration) => configuration.GetSection(Endpoints).GetChildren()
        .Select(endpoint => endpoint.Key)
        .Where(name => name.StartsWith(OperationsName, StringComparison.Ordinal));

    public static IEnumerable<string> Problems(IConfiguration configuration)
    {
        foreach (var url in OperationsUrls(configuration))
        {
            if (!IsUrl(url))
            {
                yield return Problem(OperationsKey, url);
            }
            else if (BindingAddress.Parse(url) is { Port: not 0 } && Urls(configuration).Contains(url, StringComparer.OrdinalIgnoreCase))
            {
                yield return $"{OperationsKey} has '{url}', which the registry itself listens on. Set it to another port.";
            }
        }

        foreach (var url in Listed(configuration, WebHostDefaults.ServerUrlsKey).Where(url => !IsUrl(url)))
        {
            yield return Problem(WebHostDefaults.ServerUrlsKey, url);
        }

        foreach (var endpoint in configuration.GetSection(Endpoints).GetChildren())
        {
            if (endpoint["Url"] is { } url && !IsUrl(url))
            {
                yield return Problem($"{endpoint.Path}:Url", url);
            }
        }

        foreach (var child in configuration.GetSection(Kestrel).GetChildren().Where(child => !KestrelSections.Contains(child.Key)))
        {
            yield return $"{child.Path} is no setting: nothing reads it. Leave it out. {Kestrel} has {string.Join(", ", KestrelSections)}; "
                + $"limits are set below {Setting.Section}:{nameof(OciRegistryOptions.Limits)}.";
        }

        foreach (var key in PortKeys)
        {
            foreach (var port in Listed(configuration, key).Where(port => !ushort.TryParse(port, out _)))
            {
                yield return $"{key} has '{port}', which is no port. Set it to numbers up to 65535, separated by ';'.";
            }
        }

        static string Problem(string key, string url) =>
            $"{key} has '{url}', which is no address to listen on. Write it with an IP address, as {DefaultUrl}, or "
            + "with a star for all addresses of this machine, as http://*:5000.";
    }

    /// <summary>
    /// An open registry is for the machine that it is on, unless it was said in words: whoever reaches it may push and delete.
    /// </summary>
    public static IEnumerable<string> OpennessProblems(IConfiguration configuration, AuthOptions auth)
    {
        if (auth.IsRequired || auth.AllowAnonymous)
        {
            yield break;
        }

        foreach (var url in Urls(configuration).Where(url => IsUrl(url) && !IsOfThisMachine(url)))
        {
            yield return $"{url} can be reached from other machines, and nobody has to log in: everybody could push and delete. "
                + $"Set {Setting.Section}:Auth:Htpasswd and {Setting.Section}:Auth:Policies (the README has an example), or "
                + $"{Setting.Section}:Auth:AllowAnonymous=true if that is what you want.";
        }
    }

    /// <summary>Whether nobody has to log in, and only this machine can connect.</summary>
    public static bool IsOpenHere(IConfiguration configuration) =>
        !ServerConfiguration.Auth(configuration).IsRequired && Urls(configuration).All(IsOfThisMachine);

    /// <summary>Starts the application; what keeps it from starting becomes a <see cref="StartupException"/>.</summary>
    public async Task StartAsync(WebApplication app)
    {
        try
        {
            await app.StartAsync();
            _isStarted = true;
        }
        catch (Exception exception) when (Problem(exception) is { } problem)
        {
            throw new StartupException(problem);
        }
    }

    private static string? Problem(Exception exception)
    {
        var reason = exception.Message.Split('\n')[0].TrimEnd('.', '\r');
        return exception switch
        {
            IOException { InnerException: AddressInUseException } =>
                $"{reason}. Stop the program that uses it, or {Remedy}.",
            StorageException => exception.Message,
            SocketException { SocketErrorCode: SocketError.AccessDenied } =>
                $"This user may not listen on that port: those below 1024 are reserved. Choose a higher one: {Remedy}.",
            SocketException => $"It cannot listen: {reason}. Check urls and Kestrel:Endpoints, or {Remedy}.",
            { Source: { } source } when source.StartsWith("Microsoft.AspNetCore.Server.Kestrel", StringComparison.Ordinal) =>
                $"It cannot listen: {reason}. Check urls, Kestrel:Endpoints and Kestrel:Certificates.",
            _ => null,
        };
    }

    private static bool IsOfThisMachine(string url)
    {
        var address = BindingAddress.Parse(url);
        return address.IsUnixPipe
            || address.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(address.Host, out var ip) && IPAddress.IsLoopback(ip));
    }

    private static string[] Listed(IConfiguration configuration, string key) => Split(configuration[key] ?? "");

    private static string[] Split(string urls) => urls.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    // Only Kestrel's own endpoints can be told from each other, and it listens on nothing else where there are any.
    private static void UseEndpoints(WebApplicationBuilder builder, IReadOnlyList<string> operations)
    {
        var configuration = builder.Configuration;
        if (!configuration.GetSection(Endpoints).Exists())
        {
            Add(PublicName, Urls(configuration));
        }

        Add(OperationsName, operations);

        // No addresses: for an empty text the host takes those that it was started with.
        builder.WebHost.UseUrls(";");
        UseNoPorts(builder);

        void Add(string name, IReadOnlyList<string> urls)
        {
            for (var i = 0; i < urls.Count; i++)
            {
                configuration[$"{Endpoints}:{name}{i}:Url"] = urls[i];
            }
        }
    }

    private static void UseNoPorts(WebApplicationBuilder builder) =>
        builder.WebHost.UseSetting(WebHostDefaults.HttpPortsKey, "").UseSetting(WebHostDefaults.HttpsPortsKey, "");

    internal static bool IsUrl(string url)
    {
        BindingAddress address;
        try
        {
            address = BindingAddress.Parse(url);
        }
        catch (FormatException)
        {
            return false;
        }

        return address.Scheme is "http" or "https"
            && address.PathBase.Length == 0
            && (address.IsUnixPipe || (address.Port is >= 0 and <= ushort.MaxValue && IsHost(address.Host)));
    }

    // Kestrel takes any other name for "all addresses": a typing error in "localhost" would open the registry to all.
    private static bool IsHost(string host) =>
        host is "*" or "+"
        || host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || IPAddress.TryParse(host, out _);
}
