using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.Options;
using OciRegistry.Azure;
using OciRegistry.Hosting;
using OciRegistry.Redis;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server.Settings;

/// <summary>
/// Where settings come from; the later counts: the defaults here, <c>appsettings.json</c> in the current folder, the
/// environment, the command line.
/// </summary>
internal static class ServerConfiguration
{
    // Through the configuration, so that all of it can be set otherwise in the usual way (JSON logs, say).
    private static readonly Dictionary<string, string?> Defaults = new()
    {
        ["Logging:LogLevel:Default"] = "Information",
        ["Logging:LogLevel:Microsoft"] = "Warning",
        ["Logging:Console:FormatterName"] = Telemetry.LogLineFormatter.FormatterName,
        ["Logging:Console:FormatterOptions:SingleLine"] = "true",
        ["Logging:Console:FormatterOptions:TimestampFormat"] = "yyyy-MM-ddTHH:mm:ss.fffZ ",
        ["Logging:Console:FormatterOptions:UseUtcTimestamp"] = "true",
        ["Logging:Console:FormatterOptions:IncludeScopes"] = "true", // the request's id, in JSON logs as well
    };

    public static WebApplicationBuilder CreateBuilder(CommandLine commandLine)
    {
        // Watching appsettings.json for changes watches every folder below the current one: the data, by default.
        string[] args = ["--hostBuilder:reloadConfigOnChange=false", .. commandLine.Settings];
        try
        {
            var builder = WebApplication.CreateBuilder(args);
            builder.Configuration.Sources.Insert(0, new MemoryConfigurationSource { InitialData = Defaults });
            return builder;
        }
        catch (Exception exception) when (Problem(exception) is { } problem)
        {
            throw new StartupException([.. commandLine.Problems, problem]);
        }
    }

    /// <summary>Hands the settings to the library.</summary>
    public static void Apply(IConfiguration configuration, OciRegistryBuilder registry)
    {
        registry.Configure(options => Listed(configuration).GetSection(Setting.Section).Bind(options));
        registry.Services.AddSingleton<IOptionsChangeTokenSource<OciRegistryOptions>>(
            new ConfigurationChangeTokenSource<OciRegistryOptions>(configuration));
        if (UsesAzureBlobs(configuration))
        {
            registry.UseAzureBlobs(configuration.GetSection(Setting.AzureBlobs).Bind);
        }
        else
        {
            registry.UseFileSystem(DataFolder(configuration));
        }

        if (Redis(configuration).Configuration.Count > 0)
        {
            registry.UseRedisLocks(options => Listed(configuration).GetSection(Setting.Redis).Bind(options));
        }
    }

    /// <summary>Where the data is kept, as an absolute path: a relative one counts from the current folder.</summary>
    public static string DataFolder(IConfiguration configuration)
    {
        var folder = configuration[$"{Setting.FileSystem}:{nameof(FileSystemStoreOptions.Root)}"];
        return Path.GetFullPath(string.IsNullOrWhiteSpace(folder) ? new FileSystemStoreOptions().Root : folder);
    }

    /// <summary>Whether the data is kept in a container, and not in a folder.</summary>
    public static bool UsesAzureBlobs(IConfiguration configuration) =>
        configuration.GetSection(Setting.AzureBlobs).GetChildren().Any();

    /// <summary>The container that the data is kept in, if it is.</summary>
    public static AzureBlobsOptions AzureBlobs(IConfiguration configuration)
    {
        var options = new AzureBlobsOptions();
        configuration.GetSection(Setting.AzureBlobs).Bind(options);
        return options;
    }

    /// <summary>The Redis that keeps the locks; without any <c>Configuration</c> they are within the process.</summary>
    public static RedisLocksOptions Redis(IConfiguration configuration)
    {
        var options = new RedisLocksOptions();
        Listed(configuration).GetSection(Setting.Redis).Bind(options);
        return options;
    }

    /// <summary>What the settings say of who may do what.</summary>
    public static AuthOptions Auth(IConfiguration configuration) => Registry(configuration).Auth;

    /// <summary>The registries that are pulled through this one.</summary>
    public static PullThroughOptions PullThrough(IConfiguration configuration) => Registry(configuration).PullThrough;

    public static ProxyOptions Proxies(IConfiguration configuration)
    {
        var options = new ProxyOptions();
        Listed(configuration).GetSection(Setting.Section).Bind(options);
        return options;
    }

    public static ConnectionOptions Connections(IConfiguration configuration)
    {
        var options = new ConnectionOptions();
        configuration.GetSection($"{Setting.Section}:{nameof(OciRegistryOptions.Limits)}").Bind(options);
        return options;
    }

    /// <summary>The library's options.</summary>
    public static OciRegistryOptions Registry(IConfiguration configuration)
    {
        var options = new OciRegistryOptions();
        Listed(configuration).GetSection(Setting.Section).Bind(options);
        return options;
    }

    // The binder fills a list from a list only; here one text is one entry.
    private static IConfigurationRoot Listed(IConfiguration configuration)
    {
        var values = configuration.GetSection(Setting.Section).AsEnumerable()
            .Where(pair => pair.Value is not null)
            .Select(pair => IsListed(Setting.Root, pair.Key.Split(':').AsSpan(1))
                ? KeyValuePair.Create($"{pair.Key}:0", pair.Value)
                : pair);
        return new ConfigurationBuilder().AddInMemoryCollection(values).Build();
    }

    private static bool IsListed(Setting setting, ReadOnlySpan<string> path)
    {
        if (path.IsEmpty)
        {
            return setting.IsList;
        }

        if (setting.IsNumbered)
        {
            path = path[1..]; // the number
        }

        foreach (var child in path.IsEmpty ? [] : setting.Children)
        {
            if (child.Name.Equals(path[0], StringComparison.OrdinalIgnoreCase))
            {
                return IsListed(child, path[1..]);
            }
        }

        return false;
    }

    private static string? Problem(Exception exception) => exception switch
    {
        InvalidDataException => // the outer message has the file, the innermost the line
            $"{exception.Message.TrimEnd('.')}. {exception.GetBaseException().Message.TrimEnd('.')}. Correct the file.",
        UnauthorizedAccessException =>
            $"{exception.Message.TrimEnd('.')}. Let this program's user read it.",
        DirectoryNotFoundException =>
            $"contentRoot is {exception.Message}, and there is no such folder. Set it to one, or leave it out.",
        _ => null,
    };
}
