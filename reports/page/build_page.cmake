# Builds the page in a folder of the build tree and writes it as C++. Nothing is written beside the sources.
#
#   cmake -DSOURCE=DIR -DFILES=LIST -DNPM=PROGRAM -DPROJECT=DIR -DOUTPUT=FILE.cpp -DABSENCE=TEXT
#         -DREQUIRED=BOOL -P build_page.cmake
#
# ABSENCE: why nothing is built. Where npm fails, an optional page becomes such a note as well, and the build
# of everything else goes on; a required one is an error.

# Runs npm in PROJECT; gives `failure`, the command where it failed.
function(run_npm)
    if(failure)
        return()
    endif()
    execute_process(COMMAND "${NPM}" ${ARGN} WORKING_DIRECTORY "${PROJECT}" RESULT_VARIABLE result
        OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(result)
        list(JOIN ARGN " " command)
        set(failure "npm ${command}" PARENT_SCOPE)
        message(NOTICE "${said}")
    endif()
endfunction()

set(page "")
set(absence "${ABSENCE}")
set(failure "")
if(NOT absence)
    foreach(file IN LISTS FILES)
        configure_file("${SOURCE}/${file}" "${PROJECT}/${file}" COPYONLY)
    endforeach()
    file(SHA256 "${PROJECT}/package-lock.json" wanted)
    set(stamp "${PROJECT}/node_modules/.installed-${wanted}")
    if(NOT EXISTS "${stamp}")
        # No package may run scripts of its own; without a network npm gives up within seconds.
        run_npm(ci --ignore-scripts --prefer-offline --no-progress --fetch-retries=2
            --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=4000)
        if(NOT failure)
            file(TOUCH "${stamp}")
        endif()
    endif()
    run_npm(run build --silent)
    if(failure AND REQUIRED)
        message(FATAL_ERROR "HTML report: '${failure}' failed in ${PROJECT}")
    elseif(failure)
        set(absence "this build has no page: '${failure}' failed; build with -DHARNESS_PAGE=ON to see why")
        message(WARNING "HTML report: disabled: ${absence}")
    else()
        file(READ "${PROJECT}/dist/index.html" page)
        if(page MATCHES "\\)template\"")
            message(FATAL_ERROR "HTML report: the page ends the literal that is to hold it")
        endif()
    endif()
endif()
configure_file("${SOURCE}/page_template.cpp.in" "${OUTPUT}" @ONLY)
