using OciRegistry.Auth;
using OciRegistry.PullThrough;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>
/// Looks whether the registry could be served, as the start does, and prints what it would do: nothing listens, and nothing that is
/// written stays. A Redis that is away, or an address that somebody has now, is a warning: it may be otherwise at the start.
/// </summary>
internal static class ServeCheck
{
    /// <exception cref="StartupException">It could not.</exception>
    public static async Task<int> RunAsync(CommandLine line)
    {
        var configuration = ServerConfiguration.CreateBuilder(line).Configuration;
        List<string> problems =
        [
            .. line.Problems,
            .. StartupCheck.Problems(configuration),
            .. ListeningCheck.Problems(configuration),
        ];
        var storage = await StorageCheck.LookAsync(configuration, isRight: problems.Count == 0);
        problems.AddRange(storage.Problems);
        if (problems.Count > 0)
        {
            throw new StartupException(problems);
        }

        var redis = ServerConfiguration.Redis(configuration);
        var away = redis.Configuration.Count > 0 ? await RedisCheck.ProblemAsync(redis) : null;
        foreach (var warning in ListeningCheck.Warnings(configuration).Concat(away is null ? [] : [away]))
        {
            Console.Error.WriteLine($"Warning: {warning}");
        }

        var options = ServerConfiguration.Registry(configuration);
        List<string> lines =
        [
            CommandLine.Version,
            .. Listening.Urls(configuration).Select(url => $"Would listen on {url}"),
            .. Listening.OperationsUrls(configuration).Select(url => $"Would answer health, metrics and the admin API on {url}"),
            $"Would serve up to {ConnectionLimits.MostOf(configuration)} connections at once",
            $"Would store in {storage.Where}",
            redis.Configuration.Count > 0 ? $"Would lock with Redis at {string.Join(", ", redis.EndPoints())}" : "Would lock within this process",
            .. Logins(options.Auth).Select(who => $"Would let in {who}"),
            .. Administrators(options),
            .. Listening.IsOpenHere(configuration)
                ? [$"Would answer requests for {string.Join(", ", RequestGuard.HostsOf(options).Prepend("localhost and loopback addresses"))} only"]
                : Array.Empty<string>(),
            .. options.Cors.Origins.Select(origin => origin == CrossOriginOptions.Every
                ? "Would let pages of every site read in a browser"
                : $"Would let pages of {origin} use the registry in a browser"),
            .. ServerConfiguration.Proxies(configuration).PathBase is { } prefix ? [$"Would answer below {prefix} as well"] : Array.Empty<string>(),
            .. options.PullThrough.Upstreams.Select(upstream => $"Would pull {upstream.Prefix} through from {upstream.Url}{Through(upstream)}"),
            "Nothing is wrong with the settings.",
        ];
        Console.WriteLine(string.Join(Environment.NewLine, lines));
        return 0;
    }

    private static string Through(UpstreamOptions upstream) =>
        new UpstreamProxy(upstream).GetProxy(new Uri(upstream.Url)) is { } proxy ? $" by the proxy {proxy.Scheme}://{proxy.Authority}" : "";

    private static IEnumerable<string> Administrators(OciRegistryOptions options)
    {
        if (!options.Auth.IsRequired)
        {
            return
            [
                options.Operations.Admin || options.Operations.Urls.Count > 0
                    ? "Would let everybody on this machine administer everything"
                    : "Would not answer /admin: nobody has to log in",
            ];
        }

        var rules = AuthFiles.Of(options.Auth).Policies.Rules.Where(rule => rule.Rights.HasFlag(Rights.Admin)).ToList();
        return
        [
            .. rules.Select(rule =>
                $"Would let {string.Join(", ", rule.Subjects.Select(subject => subject.ToString()).Concat(rule.Groups.Where(IsOfTokens)))} administer "
                + $"{(IsOfOperators(rule) ? "everything" : string.Join(", ", rule.Repositories))} ({rule.Name})"),
            .. options.Auth.Robots ? ["Would let robots with the action admin administer their repositories: 'robot list' shows them"] : Array.Empty<string>(),
            .. rules.Any(IsOfOperators) ? Array.Empty<string>() : ["Would have no operator by a policy: one has the action admin in '**'"],
        ];

        static bool IsOfOperators(PolicyRule rule) => rule.Contains(NamePattern.Everything);

        static bool IsOfTokens(string group) => group.Contains(':', StringComparison.Ordinal); // the members of the others are among the subjects
    }

    private static List<string> Logins(AuthOptions auth)
    {
        if (!auth.IsRequired)
        {
            return ["everybody, who may do everything"];
        }

        var files = AuthFiles.Of(auth);
        List<string> who = [];
        if (files.Users is { } users)
        {
            who.Add($"the users of {auth.Htpasswd}: {users.Names.Count()}");
        }

        if (auth.Robots)
        {
            who.Add("robots");
        }

        who.AddRange(auth.Issuers.Select(issuer => $"{issuer.Name}:..., with tokens of {issuer.Authority}"));
        if (files.ClientAuthorities is not null)
        {
            who.Add($"holders of certificates that lead to {auth.ClientCertificates.Authority}");
        }

        if (files.Policies.RulesFor(Caller.Anonymous).Any())
        {
            who.Add("nobody in particular, for what policies let 'anonymous' do");
        }

        if (who.Count == 0)
        {
            who.Add("nobody: there are policies, and no way to log in");
        }

        return who;
    }
}
